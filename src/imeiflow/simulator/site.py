"""The way of a call through the server: rate, ban, capacity, latency, work, and the loss of its reply.

It knows no sockets: a call comes in as its form, and its answer goes out through a callback, perhaps later. Clock and
timer are injected, so a test can run it under a virtual clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

from imeiflow.simulator.answer import Answer, refuse, say_error
from imeiflow.simulator.behaviour import Behaviour, PlacedAt
from imeiflow.simulator.book import Book
from imeiflow.simulator.delay import Delay
from imeiflow.simulator.fault import Fault, Moment, choose_fault, spoil
from imeiflow.simulator.limiter import BanRule, Capacity, Rate, RateGate, Seat, make_limiter
from imeiflow.simulator.shop import Shop

Clock = Callable[[], float]  #: seconds since 1970
Respond = Callable[[Answer], None]


class Timer(Protocol):
    """Calls a function after so many seconds, as `loop.call_later` does."""

    def __call__(self, delay: float, callback: Callable[..., object], *args: Any) -> object:
        """Arrange the call."""


@dataclass(slots=True)
class Stats:
    """What the server counted. Every call that it received is processed, refused, or under way."""

    received: int = 0
    processed: int = 0  #: worked on to the end, whether or not the reply arrived
    refused: Counter[str] = field(default_factory=Counter)  #: unread, by reason: rate, ban, capacity, redirect
    errors: Counter[str] = field(default_factory=Counter)  #: processed, and answered with one error, by reason
    faults: Counter[str] = field(default_factory=Counter)  #: replies lost, by kind and moment; before: not processed
    aborted: int = 0  #: the client went away before its answer
    actions: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    redirects_followed: int = 0
    bad_requests: int = 0

    def to_json(self) -> dict[str, object]:
        """Give the counts as JSON values."""
        return {name: dict(value) if isinstance(value, Counter) else value for name, value in self._items()}

    def _items(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__slots__]


class Call:
    """One call on its way."""

    __slots__ = ("action", "answer", "at", "fault", "fields", "imeis", "is_answered", "is_gone", "number", "respond")

    def __init__(self, number: int, at: float, fields: Mapping[str, str], respond: Respond) -> None:
        self.number = number
        self.at = at
        self.fields = fields
        self.action = fields.get("action", "")
        self.imeis = fields.get("imei", "").count(",") + 1 if "imei" in fields else 0
        self.respond = respond
        self.fault: Fault | None = None
        self.answer: Answer | None = None
        self.is_answered = False
        self.is_gone = False


class Plan:
    """A behaviour made ready for use: specifications read, random streams apart from each other."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.latency = Delay.parse(behaviour.latency)
        self.read_latency = Delay.parse(behaviour.read_latency)
        self.refusal_latency = Delay.parse(behaviour.refusal_latency)
        self.faults = tuple(Fault.parse(text) for text in behaviour.faults)
        self.latency_random = Random(f"{behaviour.seed}:latency")
        self.fault_random = Random(f"{behaviour.seed}:fault")
        self.spoil_random = Random(f"{behaviour.seed}:spoil")
        self.life_random = Random(f"{behaviour.seed}:life")

    def draw_latency(self, call: Call, behaviour: Behaviour) -> float:
        """Draw how long the work on a call takes, in seconds."""
        if not call.action.startswith("place"):
            return self.read_latency.draw(self.latency_random)
        return self.latency.draw(self.latency_random) + behaviour.latency_per_imei * call.imeis


def make_gate(behaviour: Behaviour) -> RateGate:
    """Make the rate limits and the ban of a behaviour."""
    rates = Rate.parse(behaviour.rate)
    limiters = [make_limiter(behaviour.rate_kind, rate, behaviour.rate_burst) for rate in rates]
    ban = BanRule(behaviour.ban_after, behaviour.ban_within, behaviour.ban_lasts, behaviour.ban_extends)
    return RateGate(limiters, ban, counts_refused=behaviour.rate_counts_refused)


_GATE_OPTIONS = (
    "rate",
    "rate_kind",
    "rate_burst",
    "rate_counts_refused",
    "ban_after",
    "ban_within",
    "ban_lasts",
    "ban_extends",
)


class Site:
    """The simulated server without its sockets."""

    def __init__(self, behaviour: Behaviour, clock: Clock, call_later: Timer) -> None:
        self.behaviour = behaviour
        self.clock = clock
        self.book = Book(behaviour.credit)
        self.stats = Stats()
        self.log: list[dict[str, object]] = []
        self._call_later = call_later
        self._plan = Plan(behaviour)
        self._gate = make_gate(behaviour)
        self._bans = 0
        self._capacity: Capacity[Call] = Capacity(
            behaviour.capacity, queues=behaviour.capacity_queues, queue_limit=behaviour.capacity_queue
        )
        self._began_at = clock()
        self._shop = Shop(behaviour, self.book, self._plan.life_random, self._began_at)
        self._faultable = 0
        self._is_seating = False
        self._watchers: list[tuple[int, Callable[[], None]]] = []

    def behave(self, behaviour: Behaviour) -> None:
        """Behave otherwise from now on. Orders stay; limits keep what they counted unless they are changed."""
        before, self.behaviour = self.behaviour, behaviour
        if any(getattr(before, name) != getattr(behaviour, name) for name in _GATE_OPTIONS):
            self._bans += self._gate.bans
            self._gate = make_gate(behaviour)
        plan = Plan(behaviour)
        if before.seed == behaviour.seed:
            plan.latency_random, plan.fault_random = self._plan.latency_random, self._plan.fault_random
            plan.spoil_random, plan.life_random = self._plan.spoil_random, self._plan.life_random
        self._plan = plan
        self._shop = Shop(behaviour, self.book, plan.life_random, self._began_at)
        self.book.pay_in(behaviour.credit - before.credit)
        capacity = self._capacity
        capacity.limit, capacity.queues = behaviour.capacity, behaviour.capacity_queues
        capacity.queue_limit = behaviour.capacity_queue
        self._seat_waiting()

    def receive(self, fields: Mapping[str, str], respond: Respond) -> Call:
        """Take in a call; `respond` is called once with its answer, before or after this returns."""
        stats = self.stats
        stats.received += 1
        call = Call(stats.received, self.clock(), fields, respond)
        stats.actions[call.action if self._shop.knows(call.action) else "other"] += 1
        if self._watchers:
            self._call_watchers()
        if _concerns(self.behaviour.rate_actions, call.action):
            turned = self._gate.admit(call.at)
            if turned is not None:
                reason = "ban" if turned.is_ban else "rate"
                how = self.behaviour.ban_refusal if turned.is_ban else self.behaviour.rate_refusal
                self._turn_away(call, reason, refuse(how, turned.wait, call.at))
                return call
        match self._capacity.enter(call):
            case Seat.TAKEN:
                self._start(call)
            case Seat.REFUSED:
                self._turn_away(call, "capacity", refuse(self.behaviour.capacity_refusal, 1.0, call.at))
            case Seat.QUEUED:
                pass
        return call

    def redirect(self, respond: Respond, answer: Answer) -> Call:
        """Take in a call that is sent elsewhere, unread."""
        self.stats.received += 1
        call = Call(self.stats.received, self.clock(), {}, respond)
        self._turn_away(call, "redirect", answer)
        return call

    def abandon(self, call: Call) -> None:
        """Note that the client went away; the work goes on, as it does on a live server."""
        if not call.is_gone and not call.is_answered:
            call.is_gone = True
            self.stats.aborted += 1

    def watch(self, received: int, callback: Callable[[], None]) -> None:
        """Call `callback` once, as soon as so many calls have been received."""
        self._watchers.append((received, callback))
        self._call_watchers()

    def to_json(self) -> dict[str, object]:
        """Give counts and sums as JSON values."""
        now = self.clock()
        return {
            **self.stats.to_json(),
            "bans": self._bans + self._gate.bans,
            "under_way": self._capacity.busy,
            "waiting": self._capacity.waiting,
            "peak": self._capacity.peak,
            "orders": len(self.book),
            "repeats": self.book.repeated,
            "charged": str(self.book.charged),
            "refunded": str(self.book.refunded(now)),
            "credit": str(self.book.balance(now)),
        }

    def _start(self, call: Call) -> None:
        if _concerns(self.behaviour.fault_actions, call.action):
            self._faultable += 1
            call.fault = choose_fault(self._plan.faults, self._faultable, self._plan.fault_random)
        delay = self._plan.draw_latency(call, self.behaviour)
        if self.behaviour.placed_at is PlacedAt.START:
            self._work(call)
        if delay > 0:
            self._call_later(delay, self._finish, call)
        else:
            self._finish(call)

    def _work(self, call: Call) -> None:
        if call.fault is not None and call.fault.moment is Moment.BEFORE:
            call.answer = say_error("Internal error")
            return
        outcome = self._shop.answer(call.fields, call.number, self.clock())
        self.stats.processed += 1
        if outcome.refused:
            self.stats.errors[outcome.refused] += 1
        call.answer = Answer(body=outcome.body)

    def _finish(self, call: Call) -> None:
        if call.answer is None:
            self._work(call)
        answer = call.answer or say_error("Internal error")
        ending = "answered"
        if call.fault is not None:
            ending = f"{call.fault.kind}:{call.fault.moment}"
            self.stats.faults[ending] += 1
            answer = spoil(answer, call.fault.kind, self._plan.spoil_random)
        self._capacity.leave()
        self._respond(call, answer, ending)
        self._seat_waiting()

    def _turn_away(self, call: Call, reason: str, answer: Answer) -> None:
        self.stats.refused[reason] += 1
        delay = self._plan.refusal_latency.draw(self._plan.latency_random)
        if delay > 0:
            self._call_later(delay, self._respond, call, answer, f"refused:{reason}")
        else:
            self._respond(call, answer, f"refused:{reason}")

    def _respond(self, call: Call, answer: Answer, ending: str) -> None:
        if self.behaviour.log_calls:
            self.log.append(
                {
                    "call": call.number,
                    "at": call.at,
                    "action": call.action,
                    "imeis": call.imeis,
                    "seconds": round(self.clock() - call.at, 6),
                    "ending": "aborted, " + ending if call.is_gone else ending,
                }
            )
        if not call.is_gone:
            call.respond(answer)

    def _seat_waiting(self) -> None:
        """Start the calls that wait, as seats allow; a call that takes no time frees its seat at once."""
        if self._is_seating:
            return
        self._is_seating = True
        try:
            while (waiting := self._capacity.call_next()) is not None:
                self._start(waiting)
        finally:
            self._is_seating = False

    def _call_watchers(self) -> None:
        due = [callback for received, callback in self._watchers if received <= self.stats.received]
        self._watchers = [watcher for watcher in self._watchers if watcher[0] > self.stats.received]
        for callback in due:
            callback()


def _concerns(actions: tuple[str, ...], action: str) -> bool:
    return action in actions or "all" in actions
