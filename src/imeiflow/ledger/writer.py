"""The one thread that writes. It makes one durable transaction of all that waits (group commit).

A transaction that fails for the database's sake (locked, disk full) fails the intents in it, because nothing was sent
for them yet, and keeps the conclusions, because they are the only record of what was: they are tried again until
they are durable or `close` gives up.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import accumulate
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine

from imeiflow.domain.ident import AttemptId
from imeiflow.domain.outcome import Ending, Outcome
from imeiflow.errors import LedgerError
from imeiflow.ledger.change import Concluded, Conclusion, Intent, OrderChange
from imeiflow.ledger.fault import DATABASE_ERRORS, is_trouble, translate
from imeiflow.ledger.group import Verdict, write_apart, write_together
from imeiflow.ledger.inbox import Inbox
from imeiflow.ledger.intent import check_intent
from imeiflow.ledger.observer import Observer

T = TypeVar("T")

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 1.0
#: Beside intents a transaction takes the conclusions of so many orders: a place at the provider is empty until the
#: next intent is durable. Where those of so many wait, it takes them all.
_FEW_ORDERS = 100
_MANY_ORDERS = 3000


@dataclass(slots=True, eq=False)
class _Waiter:
    """Who waits in an event loop for an intent or a conclusion; nobody for a withdrawal."""

    request: Intent | Conclusion
    future: asyncio.Future[Any] | None = None


class _Intending:
    """An intent that is being written, as its one waiter sees it."""

    __slots__ = ("_future", "_withdraw")

    def __init__(self, future: asyncio.Future[AttemptId], withdraw: Callable[[AttemptId], None]) -> None:
        self._future = future
        self._withdraw = withdraw

    def __await__(self) -> Generator[Any, None, AttemptId]:
        future = self._future
        try:
            return (yield from future.__await__())
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._withdraw(future.result())
            raise


@dataclass(slots=True, eq=False)
class _Call:
    """A function that waits for its turn in the transaction, and the thread that waits for it."""

    work: Callable[[Connection], Any]
    future: Future[Any]


@dataclass(slots=True)
class _Group:
    intents: list[_Waiter] = field(default_factory=list)
    conclusions: list[_Waiter] = field(default_factory=list)
    calls: list[_Call] = field(default_factory=list)


class Writer:
    """Takes intents and conclusions from event loops, calls from threads, and commits them in groups."""

    def __init__(self, engine: Engine, *, path: str, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._path = path
        self._clock = clock
        self.observer: Observer | None = None
        self._inbox: Inbox[_Waiter | _Call] = Inbox()
        self._under_way = 0  #: attempts that were recorded and not concluded
        self._give_up = threading.Event()
        self._stopping = threading.Event()
        self._trouble: LedgerError | None = None
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> LedgerError | None:
        """Give what keeps the ledger from being written just now, or None."""
        return self._trouble

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the next transaction and return its result once that is durable."""
        return self.hand_over(work).result()

    def hand_over(self, work: Callable[[Connection], T]) -> Future[T]:
        """Let `work` run in the next transaction; what is given has its result once that is durable."""
        future: Future[T] = Future()
        self._put(_Call(work, future), is_urgent=True)
        return future

    def intend(self, intent: Intent) -> Awaitable[AttemptId]:
        """Hand an intent over; it is durable when what is given was awaited, and that raises whatever is wrong with it.

        When that wait is cancelled, nothing was sent and the intent is withdrawn.
        """
        future: asyncio.Future[AttemptId] = asyncio.get_running_loop().create_future()
        try:
            check_intent(intent, self._path)
            self._put(_Waiter(intent, future))
        except LedgerError as error:
            future.set_exception(error)
        return _Intending(future, partial(self._withdraw, intent))

    def conclude(self, conclusion: Conclusion) -> asyncio.Future[Concluded]:
        """Write a conclusion; it is written even when the wait is cancelled."""
        future: asyncio.Future[Concluded] = asyncio.get_running_loop().create_future()
        self._put(_Waiter(conclusion, future))
        return future

    def close(self, *, timeout_s: float) -> None:
        """Write what waits and end the thread; conclusions that cannot be written within `timeout_s` are given up."""
        self._inbox.close()
        self._stopping.set()
        self._thread.join(timeout_s)
        self._give_up.set()
        self._thread.join()
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()

    def _put(self, entry: _Waiter | _Call, *, is_urgent: bool = False) -> None:
        if not self._inbox.put(entry, is_urgent=is_urgent):
            raise LedgerError(path=self._path, problem="it is closed")

    def _run(self) -> None:
        kept: list[_Waiter] = []
        pause_s = _FIRST_PAUSE_S
        while True:
            entries = self._inbox.take(is_patient=not kept, under_way=self._under_way)
            if not entries and not kept:
                return
            group = _group(kept, entries)
            later = _put_off(group)
            failed = self._commit(group)
            kept = failed + later
            if not failed:
                pause_s = _FIRST_PAUSE_S
                continue
            if self._give_up.is_set():
                _fail(kept, self._trouble or LedgerError(path=self._path, problem="it is closed"))
                return
            self._pause(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _pause(self, pause_s: float) -> None:
        """Wait before the next try; a close that gives up ends the wait."""
        (self._give_up if self._stopping.is_set() else self._stopping).wait(pause_s)

    def _commit(self, group: _Group) -> list[_Waiter]:
        """Commit `group`, tell everyone concerned, and give the conclusions that must be tried again."""
        began_at = time.perf_counter()
        try:
            verdicts, answers = self._write(group)
        except Exception as error:  # noqa: BLE001 - whoever waits is told; the thread must live
            if self.observer is not None:
                self.observer.failed()
            return self._fail_group(group, error)
        self._trouble = None
        if self.observer is not None:
            self.observer.committed(time.perf_counter() - began_at, *_written(group, verdicts))
        for call, answer in zip(group.calls, answers, strict=True):
            _answer(call, answer, self._path)
        begun = sum(1 for verdict in verdicts[: len(group.intents)] if not isinstance(verdict, Exception))
        self._under_way = max(0, self._under_way + begun - len(group.conclusions))
        pairs = zip(group.intents + group.conclusions, verdicts, strict=True)
        self._deliver([pair for pair in pairs if not self._was_withdrawn(*pair)])
        return []

    def _fail_group(self, group: _Group, error: Exception) -> list[_Waiter]:
        if isinstance(error, LedgerError):
            failure: Exception = error
        elif isinstance(error, DATABASE_ERRORS):
            failure = translate(error, self._path)
        else:
            failure = error
        if isinstance(failure, LedgerError) and is_trouble(error):
            self._trouble = failure
        for call in group.calls:
            call.future.set_exception(failure)
        _fail(group.intents, failure)
        if is_trouble(error):
            return group.conclusions
        _fail(group.conclusions, failure)
        return []

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Begin a transaction on the connection that is kept from group to group; after a failure on a fresh one."""
        connection = self._connection or self._engine.connect()
        self._connection = None
        try:
            with connection.begin():
                yield connection
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _write(self, group: _Group) -> tuple[list[Verdict], list[Any]]:
        """Write `group` in one transaction, all at once if that is possible, else each change for itself."""
        intents = [cast("Intent", waiter.request) for waiter in group.intents]
        conclusions = [cast("Conclusion", waiter.request) for waiter in group.conclusions]
        try:
            with self._transaction() as connection:
                if len(group.calls) == 1 and not intents and not conclusions:
                    return [], [_Done(group.calls[0].work(connection))]
                verdicts = write_together(connection, intents, conclusions)
                return verdicts, [_try(connection, call.work) for call in group.calls]
        except Exception as error:
            if is_trouble(error) or not (intents or conclusions):
                raise
        with self._transaction() as connection:
            verdicts = write_apart(connection, intents, conclusions, path=self._path, now=self._clock())
            return verdicts, [_try(connection, call.work) for call in group.calls]

    def _was_withdrawn(self, waiter: _Waiter, verdict: Verdict) -> bool:
        """Withdraw an intent whose wait was cancelled while it was written, before anything that waits by now.

        Whoever gives a lane up takes all that is `sending` then for doubt.
        """
        if not _is_cancelled(waiter):
            return False
        if not isinstance(verdict, Exception):
            self._withdraw(cast("Intent", waiter.request), cast("AttemptId", verdict))
        return True

    def _deliver(self, told: list[tuple[_Waiter, Verdict]]) -> None:
        """Wake all waiters with one call for each event loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiter, Verdict]]] = defaultdict(list)
        for waiter, verdict in told:
            if waiter.future is not None:
                by_loop[waiter.future.get_loop()].append((waiter, verdict))
        for loop, items in by_loop.items():
            _call_soon(loop, self._resolve, items)

    def _resolve(self, items: list[tuple[_Waiter, Verdict]]) -> None:
        """Hand over results, in the event loop; an intent that nobody waits for any more was never sent."""
        for waiter, verdict in items:
            future = waiter.future
            if future is None:
                continue
            if not future.cancelled():
                if isinstance(verdict, Exception):
                    future.set_exception(verdict)
                else:
                    future.set_result(verdict)
            elif isinstance(waiter.request, Intent) and not isinstance(verdict, Exception):
                self._withdraw(waiter.request, cast("AttemptId", verdict))

    def _withdraw(self, intent: Intent, attempt: AttemptId) -> None:
        """Give the orders of an intent back as they were: its call never left."""
        changes = tuple(
            OrderChange(order=order, state=intent.expected, outcome=Outcome.UNSENT, spends_attempt=False)
            for order in intent.orders
        )
        conclusion = Conclusion(
            attempt=attempt,
            ended_at=self._clock(),
            ending=Ending.NOT_SENT,
            problem="withdrawn before it was sent",
            changes=changes,
        )
        self._inbox.put(_Waiter(conclusion))


def _group(kept: list[_Waiter], entries: list[_Waiter | _Call]) -> _Group:
    """Sort what waits by its kind, after the conclusions that are tried again; no intent whose wait was cancelled."""
    group = _Group(conclusions=kept)
    for entry in entries:
        if isinstance(entry, _Call):
            group.calls.append(entry)
        elif isinstance(entry.request, Intent):
            if not _is_cancelled(entry):
                group.intents.append(entry)
        else:
            group.conclusions.append(entry)
    return group


def _is_cancelled(waiter: _Waiter) -> bool:
    """Say whether a waiter's intent will not be sent any more: from any thread, as this is never taken back."""
    return waiter.future is not None and waiter.future.cancelled() and isinstance(waiter.request, Intent)


def _put_off(group: _Group) -> list[_Waiter]:
    """Take most conclusions out of a group with intents, for a transaction after theirs; give what was taken out.

    None from a group with a call: whoever takes or releases a lane, say, relies on all that was handed over before.
    """
    if not group.intents or group.calls:
        return []
    sizes = [len(cast("Conclusion", waiter.request).changes) for waiter in group.conclusions]
    if sum(sizes) >= _MANY_ORDERS:
        return []
    beside = max(1, sum(1 for orders in accumulate(sizes) if orders <= _FEW_ORDERS))
    later = group.conclusions[beside:]
    del group.conclusions[beside:]
    return later


def _written(group: _Group, verdicts: list[Verdict]) -> tuple[list[tuple[AttemptId, Intent]], list[Conclusion]]:
    """List the intents and conclusions of a group that were written: some may have been refused."""
    pairs = zip(group.intents + group.conclusions, verdicts, strict=True)
    good = [(waiter.request, verdict) for waiter, verdict in pairs if not isinstance(verdict, Exception)]
    begun = [(cast("AttemptId", verdict), request) for request, verdict in good if isinstance(request, Intent)]
    return begun, [request for request, _ in good if isinstance(request, Conclusion)]


def _try(connection: Connection, work: Callable[[Connection], Any]) -> Any:
    """Run one call in a savepoint of its own: its failure undoes nothing else. Troubles of the database come out."""
    try:
        with connection.begin_nested():
            return _Done(work(connection))
    except Exception as error:
        if is_trouble(error):
            raise
        return error


@dataclass(frozen=True, slots=True)
class _Done:
    result: Any


def _answer(call: _Call, answer: Any, path: str) -> None:
    if isinstance(answer, _Done):
        call.future.set_result(answer.result)
    elif isinstance(answer, DATABASE_ERRORS):
        call.future.set_exception(translate(answer, path))
    else:
        call.future.set_exception(answer)


def _fail(waiters: list[_Waiter], failure: Exception) -> None:
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[Any]]] = defaultdict(list)
    for waiter in waiters:
        if waiter.future is not None:
            by_loop[waiter.future.get_loop()].append(waiter.future)
    for loop, futures in by_loop.items():
        _call_soon(loop, _set_exceptions, futures, failure)


def _set_exceptions(futures: list[asyncio.Future[Any]], failure: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(failure)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: object) -> None:
    """Call into an event loop; when it is closed, nobody waits there any more."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *arguments)
