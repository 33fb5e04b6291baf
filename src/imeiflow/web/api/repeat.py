"""Requests with an Idempotency-Key: carried out once, and answered as they were the first time.

The ledger remembers keys and answers, over a restart, too. This process knows besides what it is carrying out just now,
and the answers that the ledger would not take: a key never waits for somebody who has ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import structlog

from imeiflow.domain.ident import JobId, UserId
from imeiflow.domain.order import JobState
from imeiflow.errors import ImeiflowError, LedgerError
from imeiflow.ledger.answer import KeptAnswer
from imeiflow.operations.json_text import dump_json
from imeiflow.operations.session import Session
from imeiflow.operations.submit import PriceChangedError
from imeiflow.web.api.operation import Call, Operation, Repeat, Reply
from imeiflow.web.api.problem import ApiError, tell_error
from imeiflow.web.status import api_status
from imeiflow.web.thread import in_thread

log = structlog.get_logger(__name__)

KEY_HEADER: Final = "idempotency-key"
_LONGEST_KEY: Final = 255
_KEY: Final = re.compile(rf"[!-~]{{1,{_LONGEST_KEY}}}")
_MOST_HELD: Final = 1000

#: This process, among those that have used the ledger: what another had begun is over.
_OWNER: Final = secrets.token_hex(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a request was answered with. `is_replayed`: to the same request, asked before."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    is_replayed: bool = False


class Repeats:
    """What this process knows of the keys of one ledger. Lives in one event loop."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._under_way: set[tuple[UserId, str]] = set()
        self._held: OrderedDict[tuple[UserId, str], Answer] = OrderedDict()  #: which the ledger would not take

    async def answer(
        self, operation: Operation, call: Call, key: str, carry_out: Callable[[Call], Awaitable[Reply]]
    ) -> Answer:
        """Carry a request out, unless it was; give its answer. Raises ApiError, and what `carry_out` raises."""
        _check_key(key)
        mark = (call.token.user.id, key)
        is_mine = mark not in self._under_way
        self._under_way.add(mark)
        try:
            kept = await self._claim(mark, await in_thread(digest_request, operation, call))
            if kept is not None and kept.status is not None:
                return Answer(status=kept.status, body=kept.body, is_replayed=True)
            held = self._held.get(mark)
            if held is not None:
                await self._keep(mark, held)
                return Answer(status=held.status, body=held.body, is_replayed=True)
            job = None if kept is None else kept.job
            if not is_mine and not await self._has_started(job):
                detail = "The request with this Idempotency-Key is still being carried out."
                headers = {"retry-after": "1"}
                raise ApiError(409, detail, code="under-way", remedy="Ask again in a second.", headers=headers)
            return await self._carry_out(mark, job, call, carry_out)
        finally:
            if is_mine:
                self._under_way.discard(mark)

    async def _claim(self, mark: tuple[UserId, str], digest: str) -> KeptAnswer | None:
        user, key = mark
        kept = await in_thread(self._session.ledger.claim_request, user, key, digest=digest, owner=_OWNER)
        if kept is not None and kept.digest != digest:
            detail = "This Idempotency-Key was used for another request."
            raise ApiError(409, detail, code="key-used", remedy="Take a new key for each new request.")
        return kept

    async def _carry_out(
        self, mark: tuple[UserId, str], job: JobId | None, call: Call, carry_out: Callable[[Call], Awaitable[Reply]]
    ) -> Answer:
        user, key = mark
        repeat = Repeat(user=user, key=key, job=job)
        try:
            reply = await carry_out(call.repeated(repeat))
        except PriceChangedError as error:
            # Carried out again, it would order at a price that whoever asks may never have been told.
            await self._keep(mark, Answer(status=api_status(error), body=dump_json(tell_error(error))))
            raise
        except BaseException as error:
            # What was ordered is told by its key, whatever went wrong after that.
            is_told = isinstance(error, ApiError | ImeiflowError)
            if repeat.job is None or (is_told and not await self._has_started(repeat.job)):
                with suppress(LedgerError):  # claimed still, by nobody who is under way: the next one carries it out
                    await asyncio.shield(in_thread(self._session.ledger.release_request, user, key))
            raise
        answer = Answer(status=reply.status, body=dump_json(reply.value), headers=reply.headers)
        await self._keep(mark, answer)
        return answer

    async def _keep(self, mark: tuple[UserId, str], answer: Answer) -> None:
        """Keep an answer in the ledger; here for as long as that takes none: it was done, whoever remembers it."""
        user, key = mark
        keep = self._session.ledger.keep_answer
        try:
            await asyncio.shield(in_thread(keep, user, key, status=answer.status, body=answer.body))
        except LedgerError as error:
            log.warning("answer_not_kept", user=user, error=str(error))
            self._held[mark] = answer
            while len(self._held) > _MOST_HELD:
                self._held.popitem(last=False)
        else:
            self._held.pop(mark, None)

    async def _has_started(self, job: JobId | None) -> bool:
        """Say whether what a request was to order was let go."""
        found = None if job is None else await in_thread(self._session.ledger.find_job, job)
        return found is not None and found.state is not JobState.DRAFT


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise ApiError(
            422,
            f"header.{KEY_HEADER}: it is no key.",
            remedy=f"Give 1 to {_LONGEST_KEY} printable ASCII characters without spaces, a UUID for instance.",
        )


def digest_request(operation: Operation, call: Call) -> str:
    """Digest what a request says: two forms with the same fields and file say the same."""
    said = [operation.name, repr(sorted(call.path.items())), repr(call.query), repr(call.body)]
    if call.upload is not None:
        said += [call.upload.name, call.upload.digest]
    return hashlib.sha256("\0".join(said).encode("utf-8", "surrogatepass")).hexdigest()
