"""`imeiflow submit --server`: upload, preview, ask, order once, follow.

The word to order is on disk before it is sent, with the key that makes the server carry it out once. Whatever breaks
after that, the same command asks what became of it before it orders anything.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from imeiflow.cli.frame import confirm, open_input
from imeiflow.cli.output import count, print_json, say, tell
from imeiflow.cli.preview import describe_cost, tell_proposal
from imeiflow.cli.remote.following import find_detail, follow_through
from imeiflow.cli.report import next_steps, tell_steps
from imeiflow.domain.ident import JobId
from imeiflow.errors import ImeiflowError, InputError
from imeiflow.intake.origin import take_origin
from imeiflow.operations.configuration import find_home
from imeiflow.operations.submit import Proposal, check_limit
from imeiflow.remote.client import Client
from imeiflow.remote.error import LostError, RemoteError, UnknownOutcomeError, UnreachableError
from imeiflow.remote.pending import LASTS, Pending, PendingStore, make_fingerprint
from imeiflow.remote.reading import read_as, read_proposal
from imeiflow.remote.upload import digest_file, make_form
from imeiflow.remote.wire import Request

_LOOK_EVERY_S: Final = (0.05, 1.0)
_TELL_EVERY: Final = 100_000
#: The draft is another than what was seen: a price, or what another session has made of it.
_SHOWN_ANEW: Final = frozenset({"price-changed", "changed-preparation"})
_NOT_THEIRS: Final = "the word was given with another token, and is none of this one's user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was typed. `fields` are those of the server's form."""

    file: str
    fields: Mapping[str, object]
    accept_price: Decimal | None
    is_sure: bool
    is_dry: bool
    is_detached: bool
    is_json: bool


def submit_remotely(client: Client, wanted: Wanted) -> int:
    """Order a list at a server; give the exit status."""
    with _take_list(wanted.file) as (path, name):
        store = PendingStore(find_home(os.environ))
        fingerprint = make_fingerprint(client.server.url, digest_file(path), wanted.fields)
        job = None if wanted.is_dry else _ask_for_pending(client, store, fingerprint)
        if job is None:
            form = make_form(path, name, wanted.fields)
            request = Request(method="POST", path="/drafts", parts=form, size=form.size, media_type=form.media_type)
            draft = _wait_until_read(client, client.send(request))
            if wanted.is_dry:
                return _show(client, draft, is_json=wanted.is_json)
            job = _order(client, wanted, draft, store, fingerprint)
    if job is None:
        say("Nothing was ordered.")
        return 0
    if wanted.is_detached:
        return leave_running(client, job, is_json=wanted.is_json)
    return follow_through(client, job, is_json=wanted.is_json)


def leave_running(client: Client, job: JobId, *, is_json: bool) -> int:
    """Say that a job runs at its server, and how to find it again; give the exit status."""
    try:
        detail = find_detail(client, job)
    except ImeiflowError:
        say(f"Job {job} runs at {client.server.url}; how it stands cannot be told just now.")
        raise
    lines = tell_steps(next_steps(detail.job, detail.summary.tally))
    tell(
        [f"Job {job} runs at {client.server.url}, and goes on when this terminal is closed.", *lines], is_aside=is_json
    )
    if is_json:
        print_json(detail.summary.as_dict())
    return 0


def check_file(path: Path) -> None:
    """Say what keeps a file from being sent, in the words for a list that is read here. Raises InputError."""
    if path.exists() and not path.is_dir() and not path.is_file():
        remedy = "Write what comes from it into a file first, or name - and lead it to standard input."
        raise InputError(source=str(path), problem="this is no file", remedy=remedy)  # a pipe can be read only once
    take_origin(path).close()


@contextmanager
def _take_list(file: str) -> Iterator[tuple[Path, str]]:
    """Give the list as a file, and its name; standard input is kept in one meanwhile. Raises InputError."""
    if file != "-":
        path = Path(file).expanduser()
        check_file(path)
        yield path, path.name
        return
    with tempfile.NamedTemporaryFile(prefix="imeiflow-") as copy:
        shutil.copyfileobj(open_input(), copy)
        copy.flush()
        yield Path(copy.name), "standard input"


def _wait_until_read(client: Client, draft: dict[str, Any]) -> dict[str, Any]:
    """Wait until a server has read a list. Raises RemoteError with what is wrong with it."""
    wait_s, longest_s = _LOOK_EVERY_S
    told = 0
    while draft["stage"] == "reading":
        rows = int(draft["rows"])
        if rows - told >= _TELL_EVERY:
            told = rows
            say(f"read {count(rows, 'row')} …")
        time.sleep(wait_s)
        wait_s = min(longest_s, 1.5 * wait_s)
        draft = client.get(f"/drafts/{draft['id']}")
    if draft["stage"] == "failed":
        problem = draft["problem"]
        raise RemoteError(
            problem=str(problem["detail"]),
            remedy=str(problem.get("remedy", "")),
            status=int(problem["status"]),
            exit_code=int(problem.get("exit_status", 1)),
        )
    return draft


def _show(client: Client, draft: Mapping[str, Any], *, is_json: bool) -> int:
    _discard(client, draft)
    if is_json:
        print_json(draft["proposal"])
        return 0
    tell([*tell_proposal(read_proposal(draft["proposal"])), "Nothing was sent."])
    return 0


def _order(
    client: Client, wanted: Wanted, draft: dict[str, Any], store: PendingStore, fingerprint: str
) -> JobId | None:
    """Show what it costs, ask, and order; None is a no."""
    is_over = False
    try:
        proposal = read_proposal(draft["proposal"])
        tell(tell_proposal(proposal), is_aside=True)
        check_limit(proposal, wanted.accept_price)
        is_agreed = wanted.is_sure
        while is_agreed or _ask(wanted, proposal):
            try:
                job = _confirm(client, draft, proposal, store, fingerprint)
            except (UnknownOutcomeError, KeyboardInterrupt):
                is_over = True  # the server may have ordered it: it is what can say so
                raise
            except RemoteError as error:
                if error.code not in _SHOWN_ANEW:
                    raise
                draft = _wait_until_read(client, client.get(f"/drafts/{draft['id']}"))
                before, proposal = proposal, read_proposal(draft["proposal"])
                check_limit(proposal, wanted.accept_price)
                is_other_list = error.code != "price-changed"
                if wanted.is_sure and (is_other_list or not _may_go_on(before, proposal, wanted.accept_price)):
                    raise
                tell(["", _say_change(error), "", *(tell_proposal(proposal) if is_other_list else ())], is_aside=True)
                continue
            is_over = True
            return job
        return None
    finally:
        if not is_over:
            _discard(client, draft)


def _ask(wanted: Wanted, proposal: Proposal) -> bool:
    if not proposal.preview.valid:
        return True  # nothing will be sent: there is only a record to make
    return confirm(
        f"Order {describe_cost(proposal)}? It cannot be undone.",
        action=f"ordering {describe_cost(proposal)}",
        is_sure=wanted.is_sure,
        is_input_taken=wanted.file == "-",
    )


def _say_change(error: RemoteError) -> str:
    return error.message if error.code != "price-changed" else f"The price has changed since: {error.message}"


def _may_go_on(before: Proposal, now: Proposal, up_to: Decimal | None) -> bool:
    """Say whether a price that has changed needs no word more: it is lower, or within what was allowed."""
    if now.price is None or before.price is None:
        return False
    return now.price.amount < before.price.amount or (up_to is not None and now.price.amount <= up_to)


def _confirm(
    client: Client, draft: Mapping[str, Any], proposal: Proposal, store: PendingStore, fingerprint: str
) -> JobId:
    """Give the word to order, kept on disk until it is answered. Raises UnknownOutcomeError, RemoteError."""
    body: dict[str, Any] = {name: draft[name] for name in ("version", "figure") if draft.get(name) is not None}
    pending = Pending(
        server=client.server.url,
        draft=str(draft["id"]),
        key=secrets.token_urlsafe(24),
        body=body,
        what=describe_cost(proposal),
        at=datetime.now(UTC),
        giver=client.server.giver,
    )
    store.keep(fingerprint, pending)
    try:
        return _send_word(client, pending, store, fingerprint)
    except UnreachableError:  # not once: nothing has left
        store.forget(fingerprint)
        raise


def _ask_for_pending(client: Client, store: PendingStore, fingerprint: str) -> JobId | None:
    """Ask what became of the word to order the same list that was sent before and not answered; None: nothing."""
    pending = store.find(fingerprint)
    if pending is None:
        return None
    if datetime.now(UTC) - pending.at > LASTS:
        sent = f"{pending.at.astimezone():%Y-%m-%d %H:%M}"
        raise UnknownOutcomeError(
            what=pending.what,
            server=client.server.url,
            problem=f"the answer of {sent} was lost, and the server remembers it no more",
            remedy=_say_look(store, fingerprint),
        )
    say(f"The answer to an earlier order of this list was lost: asking {client.server.url} what became of it …")
    try:
        job = _send_word(client, pending, store, fingerprint)
    except UnreachableError as error:
        raise UnknownOutcomeError(
            what=pending.what,
            server=client.server.url,
            problem=str(error.data["problem"]),
            remedy="Run the same command again when the server runs: it asks first what became of it.",
        ) from None
    except RemoteError as error:
        if not _says_not_ordered(error):
            raise
        say("It was not ordered then.")
        return None
    say(f"It was: it is job {job}. Nothing is ordered again.")
    return job


def _send_word(client: Client, pending: Pending, store: PendingStore, fingerprint: str) -> JobId:
    remedy = (
        "It is ordered once at most. Run the same command again: it asks first what became of it. "
        "`imeiflow jobs` shows whether it runs."
    )
    unknown = {"what": pending.what, "server": client.server.url, "remedy": remedy}
    try:
        summary = client.act(f"/drafts/{pending.draft}/confirm", pending.body, key=pending.key)
        job = read_as(summary["job"], JobId)
    except LostError as error:
        raise UnknownOutcomeError(**unknown, problem=str(error.data["problem"])) from None
    except RemoteError as error:
        if error.status >= 500 or error.code in {"", "under-way"}:
            raise UnknownOutcomeError(**unknown, problem=error.message) from None
        if _says_not_ordered(error):
            if pending.giver != client.server.giver:
                unknown["remedy"] = f"Ask with that token. {_say_look(store, fingerprint)}"
                raise UnknownOutcomeError(**unknown, problem=_NOT_THEIRS) from None
            store.forget(fingerprint)
        raise
    except KeyboardInterrupt:
        say(f"Whether {pending.what} was ordered is not known. {remedy}")
        raise
    store.forget(fingerprint)
    return job


def _say_look(store: PendingStore, fingerprint: str) -> str:
    return f"Look for it with `imeiflow jobs`; then remove {store.path(fingerprint)}, and submit what is left."


def _says_not_ordered(error: RemoteError) -> bool:
    """Say whether a server of ours knows that nothing was ordered; whatever stands before it does not."""
    return bool(error.code) and error.status in {404, 409, 422}


def _discard(client: Client, draft: Mapping[str, Any]) -> None:
    """Let the server forget a list that was not ordered; it does so by itself in a few hours."""
    with suppress(Exception):
        client.delete(f"/drafts/{draft['id']}")
