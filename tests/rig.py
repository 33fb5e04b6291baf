"""A whole lane for tests: a ledger in a temporary file, the simulated provider, and runners that work between them.

`Rig.run` works as a process would, from taking the lane to releasing it, and then asks the judge.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from imeiflow.dispatch.clock import Clock, SteadyClock
from imeiflow.dispatch.engine import Engine
from imeiflow.dispatch.setting import DispatchSettings
from imeiflow.domain.ident import AccountName, JobId, ServiceId, Token
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import JobState, OrderState
from imeiflow.domain.progress import Summary
from imeiflow.jobs.runner import LaneAccount, Runner
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.record import JobDraft, NewOrder, OrderRow
from imeiflow.providers.contract import Connection, Login, Placement, Provider, Timeouts
from imeiflow.providers.gsm_fusion import provider as gsm_fusion
from imeiflow.simulator import Behaviour, Entry, SimulatedProvider
from imeiflow.simulator.behaviour import Repeat
from tests.judge import Verdict, judge
from tests.mould import cast_ledger

ACCOUNT = AccountName("gsm-fusion")
SERVICE = ServiceId("1")
PRICE = Decimal("0.08")
PATIENCE_S = 300.0  #: a test that hangs fails instead

TIMEOUTS = Timeouts(connect_s=5.0, pool_s=30.0, read_s=20.0, total_s=30.0)
#: Soon tired of a server that is silent.
IMPATIENT = replace(TIMEOUTS, read_s=0.25)
#: A machine that stands still while a call is under way makes what it accepts seem young, and ten times as long is
#: waited until it is old enough to be repeated.
SETTINGS = DispatchSettings(poll_s=0.05, settle_patience_s=120.0)
LASTING: dict[str, Any] = {"pending_for": "3600", "process_for": "3600"}
INSTANT: dict[str, Any] = {"pending_for": "0", "process_for": "0"}


def make_imei(serial: int) -> Imei:
    """Make a Luhn-valid IMEI of a test TAC."""
    body = f"35000000{serial:06d}"
    total = sum(sum(divmod(int(digit) * (1 + place % 2), 10)) for place, digit in enumerate(body))
    return Imei(f"{body}{-total % 10}")


def make_behaviour(options: dict[str, Any] | None = None) -> Behaviour:
    """Make a behaviour whose orders are completed at once where every repeat is refused, else never."""
    given = options or {}
    life = INSTANT if given.get("repeats", Repeat.REFUSE) is Repeat.REFUSE else LASTING
    return Behaviour(**{**life, **given})


class FastClock:
    """A clock that runs `speed` times as fast as the real one, for the engine and for the simulated server alike."""

    unsure_before = None

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._started = time.monotonic()
        self._wall = time.time()
        self._skipped_s = 0.0

    def monotonic(self) -> float:
        return (time.monotonic() - self._started) * self.speed + self._skipped_s

    def run_at(self, speed: float) -> None:
        """Run at another speed from now on."""
        self._skipped_s += (time.monotonic() - self._started) * (self.speed - speed)
        self.speed = speed

    def skip(self, seconds: float) -> None:
        """Let time pass at once."""
        self._skipped_s += seconds

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._wall, UTC) + timedelta(seconds=self.monotonic())

    def seconds(self) -> float:
        """Give the time as the simulated server wants it."""
        return self._wall + self.monotonic()

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> object:
        """Arrange a call as the simulated server wants it."""
        return asyncio.get_running_loop().call_later(delay / self.speed, callback, *args)


class Wire:
    """A connection that can be watched: `before` and `after` are awaited around each placing call."""

    def __init__(
        self,
        inner: Connection,
        *,
        before: Callable[[int], Awaitable[None]] | None = None,
        after: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self.inner = inner
        self.sent: list[tuple[str, ...]] = []
        self._before, self._after = before, after

    async def place(self, imeis: Sequence[Any], service: Any, *args: Any, **kwargs: Any) -> Placement:
        self.sent.append(tuple(imeis))
        number = len(self.sent)
        if self._before is not None:
            await self._before(number)
        placement = await self.inner.place(imeis, service, *args, **kwargs)
        if self._after is not None:
            await self._after(number)
        return placement

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


async def work(engine: Engine) -> None:
    """Let an engine work to its end; one that hangs fails."""
    async with asyncio.timeout(PATIENCE_S):
        await engine.run()


@dataclass
class Rig:
    """One ledger, one simulated provider, one account. `path` is the directory of all files."""

    path: Path
    ledger: Ledger
    sim: SimulatedProvider
    clock: Clock
    settings: DispatchSettings = SETTINGS
    timeouts: Timeouts = TIMEOUTS
    provider: Provider = gsm_fusion
    runs: int = 0
    _serial: int = 0
    _before: list[Entry] = field(default_factory=list)

    def add_job(self, count: int, **values: Any) -> JobId:
        """Add a running job of `count` new IMEIs; `values` go to its draft."""
        imeis = [make_imei(self._serial + number) for number in range(count)]
        self._serial += count
        return self.add_imeis(imeis, **values)

    def add_imeis(self, imeis: Sequence[Imei], **values: Any) -> JobId:
        """Add a running job of these IMEIs."""
        base: dict[str, Any] = {"account": ACCOUNT, "provider": "gsm-fusion", "service": SERVICE}
        job = self.ledger.create_draft(JobDraft(**{**base, "unit_price": PRICE, "currency": "USD", **values}))
        self.ledger.add_orders(job, [NewOrder(line=line, imei=imei) for line, imei in enumerate(imeis, 2)])
        self.ledger.start_job(job)
        return job

    @property
    def account(self) -> LaneAccount:
        """Give the account as a runner wants it."""
        return LaneAccount(login=self.login, provider=self.provider, settings=self.settings, timeouts=self.timeouts)

    @property
    def login(self) -> Login:
        """Give the login at the simulated server."""
        return Login(account=ACCOUNT, base_url=self.sim.base_url, username=self.sim.username, key=self.sim.api_key)

    def runner(self, **values: Any) -> Runner:
        """Make a runner of this account."""
        return Runner(
            **{"ledger": self.ledger, "account": self.account, "clock": self.clock, "home": self.path, **values}
        )

    async def run(self, job: JobId | None = None) -> Verdict:
        """Work until `job` has ended (None: all jobs), then have ledger and book compared."""
        self.runs += 1
        async with asyncio.timeout(PATIENCE_S):
            await self.runner().run(job)
        return self.judge()

    async def run_to_the_end(self, job: JobId, *, resumes: int = 12) -> Verdict:
        """Work until the job is finished, resuming it as a user would whenever it pauses."""
        verdict = await self.run(job)
        while resumes and self.state(job) is JobState.PAUSED:
            self.resume(job)
            verdict = await self.run(job)
            resumes -= 1
        return verdict

    def resume(self, job: JobId) -> None:
        """Resume a job that is paused or finished, as a user would."""
        self.ledger.change_job(job, {JobState.PAUSED, JobState.FINISHED}, JobState.RUNNING, None)

    def judge(self) -> Verdict:
        """Have ledger and book compared, order by order."""
        calls = self.sim.stats.actions["placeorder"]
        return judge(self.ledger.path, self.sim.book, before=self._before, placing_calls=calls)

    def remember_book(self) -> None:
        """Take what the book holds now for orders that somebody else placed."""
        self._before = list(self.sim.book)

    def behave(self, **changes: Any) -> None:
        """Let the simulated provider behave otherwise from now on."""
        self.sim.set_behaviour(replace(self.sim.behaviour, **changes))

    def summary(self, job: JobId) -> Summary:
        """Sum up a job; its counts must add up."""
        summary = self.ledger.summary(job)
        counts = summary.as_dict()
        names = ("accepted", "duplicate", "refused", "failed", "unconfirmed", "queued", "invalid", "cancelled")
        assert sum(int(str(counts[name])) for name in names) + int(str(counts["repeated"])) == counts["total"]
        return summary

    def state(self, job: JobId) -> JobState:
        """Give the state of a job."""
        return self.summary(job).state

    def reason(self, job: JobId) -> str:
        """Give why a job stands where it stands."""
        return self.summary(job).reason or ""

    def count(self, job: JobId, state: OrderState) -> int:
        """Count a job's orders in a state."""
        return self.ledger.tally(job)[state]

    def rows(self, job: JobId) -> list[OrderRow]:
        """List a job's orders."""
        return list(self.ledger.order_rows(job))

    @property
    def repeats(self) -> int:
        """Count what was paid for once too often."""
        return len(self.sim.book.repeats())

    def take_lane(self, owner: str = "tests") -> Token:
        """Take the lane as a new owner does."""
        return self.ledger.take_lane(ACCOUNT, owner)[0]

    @asynccontextmanager
    async def engine(self, *, token: Token | None = None, **values: Any) -> AsyncIterator[Engine]:
        """Give an engine that owns the lane; `values` replace what it is made of."""
        connection: Connection = values.pop("connection", None) or self.connect()
        base: dict[str, Any] = {"ledger": self.ledger, "provider": self.provider, "clock": self.clock}
        owner = token if token is not None else self.take_lane()
        engine = Engine(
            **{**base, "settings": self.settings, **values}, account=ACCOUNT, token=owner, connection=connection
        )
        try:
            yield engine
        finally:
            await connection.close()

    def connect(self) -> Connection:
        """Open a connection to the simulated provider."""
        return self.provider.connect(self.login, max_concurrency=256, timeouts=self.timeouts)


@asynccontextmanager
async def open_rig(path: Path, behaviour: dict[str, Any] | None = None, **values: Any) -> AsyncIterator[Rig]:
    """Open a rig in a directory: `behaviour` are options of the simulated provider, `values` fields of the rig."""
    clock = values.pop("clock", None)
    timing: dict[str, Any] = {}
    if isinstance(clock, FastClock):
        timing = {"clock": clock.seconds, "call_later": clock.call_later}
    clock = clock or SteadyClock()
    with Ledger.open(cast_ledger(path / "ledger.db"), clock=clock.now) as ledger:
        async with SimulatedProvider(make_behaviour(behaviour), **timing) as sim:
            yield Rig(path, ledger, sim, clock, **values)
