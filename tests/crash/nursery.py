"""Where workers are born and killed: imports once, then forks a process for each order that it reads, one at a time.

A worker runs the lane of one account as any process of ours would. It is killed after a while, or kills itself at a
named point of its work: the ledger and the connection that it is given count what passes and pull the trigger.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from imeiflow.dispatch.clock import SteadyClock
from imeiflow.domain.ident import AccountName
from imeiflow.errors import FencedError
from imeiflow.jobs.runner import LaneAccount, Runner
from imeiflow.ledger.change import AttemptKind, Concluded, Conclusion, Intent
from imeiflow.ledger.ledger import Ledger
from imeiflow.providers.contract import Connection, Login, Placement, Timeouts
from imeiflow.providers.gsm_fusion import provider as gsm_fusion
from tests.rig import ACCOUNT, SETTINGS, TIMEOUTS
from tests.warmth import warm_up

DONE, BROKEN, FENCED = 0, 1, 7
WHILE_S = 0.1
#: Who is frozen while another does its work reads its replies when it wakes up, however long that took.
LONG_TIMEOUTS = replace(TIMEOUTS, read_s=600.0, total_s=600.0)
_kind: ContextVar[AttemptKind] = ContextVar("kind")


@dataclass(frozen=True, slots=True)
class Errand:
    """What a worker shall do, and how it ends: after `after_s`, at the `nth` passing of `point`, or by itself."""

    home: str
    base_url: str
    after_s: float | None = None
    point: str = ""
    nth: int = 1
    signal: int = signal.SIGKILL
    patience_s: float = SETTINGS.settle_patience_s  #: so long it waits for an order to grow old enough to be repeated


class Fuse:
    """Counts the passings of one point and sends the signal at the last."""

    def __init__(self, errand: Errand) -> None:
        self._point, self._left, self._signal = errand.point, errand.nth, errand.signal

    def pass_(self, point: str) -> None:
        """Note that a point is passed."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), self._signal)


class FusedLedger(Ledger):
    """A ledger that says what passes: `place.intent`, `again.concluded`, `lane.taking` …"""

    fuse: Fuse

    async def intend(self, intent: Intent) -> Any:
        _kind.set(AttemptKind.PLACE if intent.kind is AttemptKind.CANARY else intent.kind)
        self.fuse.pass_(f"{_kind.get()}.intent")
        attempt = await super().intend(intent)
        self.fuse.pass_(f"{_kind.get()}.intended")
        return attempt

    async def conclude(self, conclusion: Conclusion) -> Concluded:
        self.fuse.pass_(f"{_kind.get()}.replied")
        concluded = await super().conclude(conclusion)
        self.fuse.pass_(f"{_kind.get()}.concluded")
        return concluded

    def take_lane(self, account: AccountName, owner: str) -> Any:
        write = self._write

        def write_and_pass(work: Any) -> Any:
            def work_and_pass(connection: Any) -> Any:
                done = work(connection)
                self.fuse.pass_("lane.taking")
                return done

            return write(work_and_pass)

        self._write = write_and_pass  # type: ignore[method-assign]
        taken = super().take_lane(account, owner)
        self._write = write  # type: ignore[method-assign]
        self.fuse.pass_("lane.taken")
        return taken

    def change_job(self, *args: Any, **kwargs: Any) -> None:
        self.fuse.pass_("job.ending")
        super().change_job(*args, **kwargs)
        self.fuse.pass_("job.ended")

    def finish_job(self, *args: Any, **kwargs: Any) -> bool:
        self.fuse.pass_("job.ending")
        is_finished = super().finish_job(*args, **kwargs)
        self.fuse.pass_("job.ended")
        return is_finished


class FusedConnection:
    """A connection that says when a call leaves, and when it has been under way for a while."""

    def __init__(self, inner: Connection, fuse: Fuse) -> None:
        self._inner, self._fuse = inner, fuse

    async def place(self, imeis: Sequence[Any], service: Any) -> Placement:
        kind = _kind.get()

        def tell() -> None:
            self._fuse.pass_(f"{kind}.leaving")
            asyncio.get_running_loop().call_later(WHILE_S, self._fuse.pass_, f"{kind}.waiting")

        return await self._inner.place(imeis, service, on_sent=tell)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class FusedProvider:
    """The provider of such connections."""

    name = gsm_fusion.name
    max_chunk = gsm_fusion.max_chunk
    lists_recent_orders = gsm_fusion.lists_recent_orders

    def __init__(self, fuse: Fuse) -> None:
        self._fuse = fuse

    def connect(self, login: Login, *, max_concurrency: int, timeouts: Timeouts) -> Any:
        inner = gsm_fusion.connect(login, max_concurrency=max_concurrency, timeouts=timeouts)
        return FusedConnection(inner, self._fuse)


def run_worker(errand: Errand) -> int:
    """Be a worker: own the lane until no job runs any more."""
    clock, fuse, home = SteadyClock(), Fuse(errand), Path(errand.home)
    ledger = FusedLedger.open(home / "ledger.db", clock=clock.now)
    ledger.fuse = fuse
    login = Login(account=ACCOUNT, base_url=errand.base_url, username="simulated", key="simulated-key")
    settings = replace(SETTINGS, settle_patience_s=errand.patience_s)
    account = LaneAccount(login=login, provider=FusedProvider(fuse), settings=settings, timeouts=LONG_TIMEOUTS)
    try:
        asyncio.run(Runner(ledger=ledger, account=account, clock=clock, home=home).run())
    except FencedError:
        return FENCED
    ledger.close()
    return DONE


class Nursery:
    """The process that the workers are forked from, as the tests see it."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._worker = 0  #: the process id of the worker that has not gone yet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._child.communicate()

    def end(self) -> None:
        """Kill the worker that is left, frozen or not: a test that failed shall not hang."""
        if self._worker:
            os.kill(self._worker, signal.SIGKILL)
            while self._worker:
                self.wait()

    def run(self, errand: Errand) -> int:
        """Have a worker run an errand and wait for its end; gives its exit status, negative for a signal."""
        self.start(errand)
        return self.wait()

    def start(self, errand: Errand) -> int:
        """Have a worker run an errand; gives its process id."""
        self.end()
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(asdict(errand)).encode() + b"\n")
        self._child.stdin.flush()
        self._worker = self._read()
        return self._worker

    def wait(self) -> int:
        """Wait until the worker has gone, or has stopped; gives its exit status, negative for a signal."""
        status = self._read()
        if status != -signal.SIGSTOP:
            self._worker = 0
        return status

    def _read(self) -> int:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, "the nursery ended by itself"
        return int(line)


def _fork(errand: Errand) -> None:
    pid = os.fork()
    if pid == 0:
        status = BROKEN
        try:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 0)
            os.dup2(2, 1)
            status = run_worker(errand)
        finally:
            os._exit(status)
    _say(pid)
    if errand.after_s is not None:
        handle = os.pidfd_open(pid)
        if not select.select([handle], [], [], errand.after_s)[0]:
            os.kill(pid, errand.signal)
        os.close(handle)
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        _say(-os.WSTOPSIG(status))
        _, status = os.waitpid(pid, 0)
    _say(os.waitstatus_to_exitcode(status))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    warm_up()
    for order in sys.stdin:
        _fork(Errand(**json.loads(order)))
