"""`imeiflow probe`: does this server really take chunks, and refuse repeats? A few IMEIs, their cost said first."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from imeiflow.cli.following import watch_job
from imeiflow.cli.frame import confirm, open_input, open_session
from imeiflow.cli.option import account_option, command, json_option, yes_option
from imeiflow.cli.output import count, print_json, say, tell
from imeiflow.cli.program import INTERRUPTED
from imeiflow.cli.report import report_job
from imeiflow.domain.ident import ServiceId
from imeiflow.domain.order import JobState, OrderState
from imeiflow.errors import UsageError
from imeiflow.operations.follow import Followed
from imeiflow.operations.json_text import as_values, clean
from imeiflow.operations.probe import (
    FEWEST,
    MOST,
    ChunkFinding,
    ChunkVerdict,
    RepeatFinding,
    RepeatVerdict,
    check_size,
    choose_repeat,
    count_cost,
    judge_chunk,
    judge_repeat,
    judge_settling,
    plan_chunk,
    plan_repeat,
)
from imeiflow.operations.session import Session
from imeiflow.operations.submit import Proposal, Request, preview_list, read_list

_UNKNOWN = 4
_FEWEST_DIGITS = 14


@command(
    examples="""
    imeiflow probe --service 12 three-phones.txt
    imeiflow probe --service 12 --imei 350000000000014,350000000000022
    """
)
@click.argument("file", required=False, metavar="[FILE]")
@click.option("--service", required=True, metavar="ID", help="What to order; `imeiflow services` lists the ids.")
@click.option("--imei", "imeis", multiple=True, metavar="IMEI", help="The IMEIs: repeat it, or use commas.")
@account_option
@yes_option
@json_option
def probe(
    *, file: str | None, service: str, imeis: tuple[str, ...], account: str | None, is_sure: bool, is_json: bool
) -> int:
    """Find out whether a server really takes several IMEIs a call, and whether it refuses repeats.

    It takes a few IMEIs that you want to have ordered anyway: they are ordered and charged, in one call, and one of
    them is ordered once more. What that costs is said first. Ends with 4 where it could not be found out.
    """
    make_request = _read_list(file, imeis, ServiceId(service), account)
    with open_session() as session:
        proposal = preview_list(session.configuration, make_request())
        _check(proposal)
        say(_tell_cost(proposal))
        if not confirm("Order them?", action="a probe", is_sure=is_sure):
            say("Nothing was ordered.")
            return 0
        return _probe(session, make_request, proposal, is_json=is_json)


def _read_list(
    file: str | None, imeis: tuple[str, ...], service: ServiceId, account: str | None
) -> Callable[[], Request]:
    """Give what makes a request of the list, each time from its start."""
    if (file is None) == (not imeis):
        raise UsageError(problem=f"give {FEWEST} to {MOST} IMEIs, in a FILE or with --imei")
    source: Path | bytes = Path(file) if file not in {None, "-"} else b""
    if file == "-":
        source = open_input().read()
    elif imeis:
        typed = [one.strip() for one in ",".join(imeis).split(",") if one.strip()]
        bad = [repr(one) for one in typed if sum(map(str.isdigit, one)) < _FEWEST_DIGITS]
        if bad:
            raise UsageError(
                problem=f"--imei: {', '.join(bad)} cannot be read as an IMEI", remedy="Write its 15 digits."
            )
        source = "\n".join(typed).encode()

    def make() -> Request:
        opened: Path | BinaryIO = source if isinstance(source, Path) else io.BytesIO(source)
        return Request(source=opened, service=service, account=account)

    return make


def _check(proposal: Proposal) -> None:
    earlier = proposal.earlier
    if earlier.count:
        shown = ", ".join(example.value for group in earlier.groups.values() for example in group.examples)
        raise UsageError(
            problem=f"{count(earlier.count, 'IMEI')} ordered before under this service: {shown}",
            remedy="Take others: what was ordered before shows nothing about a new order.",
        )
    check_size(proposal.preview)


def _tell_cost(proposal: Proposal) -> str:
    valid = proposal.preview.valid
    what = f"{count(valid, 'IMEI')} will be ordered in one call, and one of them once more"
    if proposal.price is None:
        return f"{what}. The price is not known: up to {valid + 1} times the service's price."
    cost = count_cost(proposal.price, valid)
    return f"{what}. That costs {cost.usual}, or {cost.most} where repeats are charged."


@dataclass(slots=True)
class _Found:
    """What a probe has found so far."""

    chunk: ChunkFinding
    repeat: RepeatFinding


def _probe(session: Session, make_request: Callable[[], Request], proposal: Proposal, *, is_json: bool) -> int:
    followed = _order(session, plan_chunk(make_request(), proposal.preview.valid))
    job = followed.summary.job
    settled = judge_settling(session, job)
    found = _Found(judge_chunk(session, job), settled or RepeatFinding(RepeatVerdict.UNKNOWN))
    chosen = choose_repeat(session, job)
    is_ended = followed.summary.state is JobState.FINISHED
    if is_ended and chosen is not None and settled is None:
        source = io.BytesIO((chosen.imei or "").encode())
        request = Request(source=source, service=proposal.service, account=proposal.account)
        followed = _order(session, plan_repeat(request))
        found.repeat = judge_repeat(session, followed.summary.job)
    if is_json:
        print_json({"job": job, "chunk": as_values(found.chunk), "repeat": as_values(found.repeat)})
    else:
        if not is_ended:
            report_job(session, job, followed)
        tell(_tell_verdict(found, job, session.ledger.tally(job)[OrderState.UNCONFIRMED]))
    if followed.was_interrupted:
        return INTERRUPTED
    is_known = found.chunk.verdict is not ChunkVerdict.UNKNOWN and found.repeat.verdict is not RepeatVerdict.UNKNOWN
    return 0 if is_known else _UNKNOWN


def _order(session: Session, request: Request) -> Followed:
    draft, proposal = read_list(session, request)
    with draft:
        draft.start(proposal)
        return watch_job(session, draft.job, lock=draft.lock)


def _tell_verdict(found: _Found, job: int, unconfirmed: int) -> Iterator[str]:
    yield from _tell_chunk(found.chunk, job)
    yield from _tell_repeat(found.repeat)
    if unconfirmed:
        yield f"{count(unconfirmed, 'order')} may or may not have been placed: see `imeiflow settle {job}`."


def _tell_chunk(chunk: ChunkFinding, job: int) -> Iterator[str]:
    match chunk.verdict:
        case ChunkVerdict.WHOLE:
            yield f"Several IMEIs a call: yes. All {chunk.size} of one call were accounted for."
            yield "  How many more it takes at once, `imeiflow submit` finds out with a single call."
        case ChunkVerdict.CUT:
            yield f"Several IMEIs a call: NO. Of {chunk.size} it named only {chunk.named}."
            if chunk.placed:
                yield f"  {chunk.placed:,} that it did not name had been placed and charged all the same."
            if chunk.not_placed:
                yield f"  {chunk.not_placed:,} that it did not name had not been placed; they are ordered now."
        case ChunkVerdict.REFUSED:
            yield f"Several IMEIs a call: NO. It refused {chunk.size} at once: {clean(chunk.message)}"
        case ChunkVerdict.UNKNOWN:
            yield f"Several IMEIs a call: not known. {clean(chunk.message) or 'There was no answer that says so.'}"
            yield f"  `imeiflow show {job}` shows what came back."


def _tell_repeat(repeat: RepeatFinding) -> Iterator[str]:
    said = f" ({clean(repeat.message)})" if repeat.message else ""
    match repeat.verdict:
        case RepeatVerdict.REFUSED:
            yield f"Repeats: refused, free of charge{said}."
            yield "  It is known for orders as young as these; older ones are looked at again when it matters."
        case RepeatVerdict.CHARGED:
            yield "Repeats: CHARGED. The same IMEI was taken a second time, and charged a second time."
            yield "  Orders whose reply is lost will be held for you here: `imeiflow settle`."
        case RepeatVerdict.UNKNOWN:
            yield f"Repeats: not known{said}."
