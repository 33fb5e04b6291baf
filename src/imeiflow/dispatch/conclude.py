"""From a placement to what the ledger writes, and to what the limits learn.

Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from msgspec import Struct, structs

from imeiflow.dispatch.call import CallEnd, Refusal
from imeiflow.dispatch.work import Chunk
from imeiflow.domain.decision import Decision, RetryPolicy, decide, decide_again
from imeiflow.domain.doubt import RepeatEvidence
from imeiflow.domain.ident import AttemptId, JobId, OrderId
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.domain.reply import Finding, WholeError, account_for_failure
from imeiflow.ledger.change import AttemptKind, Conclusion, OrderChange
from imeiflow.ledger.record import QueuedOrder
from imeiflow.providers.contract import Exchange, Placement

#: No provider has been seen to place an order in less.
_NO_WORK_S = 0.25
#: Outcomes of a repeat that say that there is an order; after any other its price is still that of the doubtful call.
_FOUND = frozenset({Outcome.ACCEPTED, Outcome.DUPLICATE})
_BAN = re.compile(r"\b(?:1015|ban(?:ned)?|blocked)\b", re.IGNORECASE)
_RATE_WORDS = re.compile(r"rate|frequent|limit exceeded|slow down|per (?:second|minute|hour)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a repeated call repeats: by when the order was surely placed, and what is known of it.

    None: that is not sure, as of every doubt. `was_ordered`: an older job's order of the same IMEI is known, so that a
    duplicate need not be this one.
    """

    placed_by: datetime | None = None
    is_completed: bool = False
    was_ordered: bool = False


class Ended(Struct, frozen=True):
    """A call that has ended: what it proves, and what became of its orders."""

    chunk: Chunk
    placement: Placement
    conclusion: Conclusion
    states: Mapping[OrderId, OrderState]

    @property
    def again(self) -> list[QueuedOrder]:
        """List the orders that are queued again, each with the attempts that it has spent."""
        if OrderState.QUEUED not in self.states.values():
            return []
        return [
            structs.replace(order, attempts=order.attempts + change.spends_attempt)
            for order, change in zip(self.chunk.orders, self.conclusion.changes, strict=True)
            if change.state is OrderState.QUEUED
        ]


def conclude(
    chunk: Chunk,
    placement: Placement,
    *,
    attempt: AttemptId,
    ended_at: datetime,
    price: Decimal | None,
    policy: RetryPolicy,
    repeats: Mapping[OrderId, Repeat],
    is_newest: bool = True,
    began_at: datetime | None = None,
    asked_by: JobId | None = None,
    is_reachable: bool = True,
    due_at: datetime | None = None,
) -> Ended:
    """Turn a placement into a conclusion. `repeats` tells, for orders sent again, what is repeated.

    `is_newest`: what a probe repeats was not ordered once more meanwhile, so that a refusal is of its age.
    `began_at` is when the call was about to leave, without which a repeat teaches nothing. `asked_by`: the job that a
    probe is made for. `is_reachable`: another call reached the provider meanwhile.
    `due_at` is when the status of what was accepted is asked for first.
    """
    exchange, account = placement.exchange, placement.account
    changes: list[OrderChange] = []
    seen: list[RepeatEvidence] = []
    for order in chunk.orders:
        finding = account.findings[order.imei]
        decision = _decide(chunk, finding, order.attempts + 1, policy, is_reachable=is_reachable)
        repeat = repeats.get(order.id)
        changes.append(
            OrderChange(
                order=order.id,
                state=decision.state,
                outcome=finding.outcome,
                reference=finding.reference,
                status=finding.status,
                kind=finding.kind,
                message=finding.message,
                spends_attempt=decision.spends_attempt,
                price=price if chunk.kind is not AttemptKind.AGAIN or finding.outcome in _FOUND else None,
                charges=_charges(chunk.kind, finding.outcome, repeat),
                due_at=due_at,
            )
        )
        if repeat is not None and began_at is not None:
            shown = _see(chunk.kind, finding.outcome, repeat, began_at, ended_at)
            seen.extend(one for one in shown if is_newest or not one.is_refusal)
    error = account.error
    conclusion = Conclusion(
        attempt=attempt,
        ended_at=ended_at,
        ending=exchange.ending,
        changes=tuple(changes),
        http_status=exchange.http_status,
        elapsed_ms=round(exchange.elapsed_s * 1000),
        error_kind=error.kind if error else None,
        error=error.message if error else "",
        problem=exchange.problem,
        anomalies=account.anomalies,
        headers=exchange.headers,
        request=exchange.request,
        reply=exchange.reply,
        seen=tuple(seen),
        asked_by=asked_by,
    )
    return Ended(chunk, placement, conclusion, {change.order: change.state for change in changes})


def withhold(chunk: Chunk, *, attempt: AttemptId, ended_at: datetime, problem: str) -> Conclusion:
    """Conclude an attempt whose call was not made after all: its orders are what they were."""
    changes = tuple(
        OrderChange(order=order.id, state=chunk.expected, outcome=Outcome.UNSENT, spends_attempt=False)
        for order in chunk.orders
    )
    return Conclusion(attempt=attempt, ended_at=ended_at, ending=Ending.NOT_SENT, problem=problem, changes=changes)


def _see(
    kind: AttemptKind, outcome: Outcome, repeat: Repeat, began_at: datetime, ended_at: datetime
) -> list[RepeatEvidence]:
    """Say what the answer to a repeat teaches about repeats. Only a probe is sure to repeat an order that exists.

    What refuses a doubt that is sent again may be an order made by hand, of which nobody knows how old it is.
    """
    if kind is not AttemptKind.PROBE or repeat.placed_by is None:
        return []
    age = began_at - repeat.placed_by
    match outcome:
        case Outcome.DUPLICATE:
            return [RepeatEvidence(ended_at, age, is_refusal=True, of_completed=repeat.is_completed)]
        case Outcome.ACCEPTED:
            return [RepeatEvidence(ended_at, age, is_refusal=False)]
        case _:
            return []


def is_slow_refusal(placement: Placement, fastest_s: float) -> bool:
    """Say whether a bare "busy" (503 without a word of a limit) took as long as work does; inf: no work was seen yet.

    A server that turns a call away at its door does so at once. One that did the work may show the same page after it.
    """
    exchange, error = placement.exchange, placement.account.error
    if exchange.ending is not Ending.REFUSED_UNREAD or error is None or error.kind is not ErrorKind.OVERLOAD:
        return False
    return exchange.elapsed_s >= max(_NO_WORK_S, fastest_s / 2 if math.isfinite(fastest_s) else 0.0)


def doubt_refusal(placement: Placement) -> Placement:
    """Take a refusal for doubt: its orders may have been placed."""
    exchange, account = placement.exchange, placement.account
    error = account.error or WholeError(ErrorKind.OVERLOAD, exchange.problem)
    doubtful = account_for_failure(list(account.findings), Ending.IN_DOUBT, error)
    return Placement(structs.replace(exchange, ending=Ending.IN_DOUBT), doubtful)


def read_call(placement: Placement, *, is_crowded: bool) -> tuple[CallEnd, Refusal | None]:
    """Say what a call's end means for concurrency and pace.

    `is_crowded`: more calls were under way than were ever admitted, so that a reset says "too many".
    """
    return read_answer(placement.exchange, placement.account.error, is_crowded=is_crowded)


def read_answer(
    exchange: Exchange, error: WholeError | None, *, is_crowded: bool = False
) -> tuple[CallEnd, Refusal | None]:
    """Say the same of any call, from its exchange and the error that stands for the whole of it."""
    match exchange.ending:
        case Ending.NOT_SENT:
            return CallEnd.IGNORE, None
        case Ending.IN_DOUBT:
            is_reset = exchange.http_status is None and is_crowded
            return (CallEnd.DROPPED, Refusal()) if is_reset else (CallEnd.IGNORE, None)
        case Ending.ANSWERED | Ending.REFUSED_UNREAD:
            if error is None:
                return CallEnd.SUCCESS, None
            if error.kind not in {ErrorKind.RATE, ErrorKind.OVERLOAD}:
                is_served = exchange.ending is Ending.ANSWERED and error.kind is not ErrorKind.ACCOUNT
                return (CallEnd.SUCCESS if is_served else CallEnd.IGNORE), None
            return CallEnd.DROPPED, Refusal(
                says_rate=error.kind is ErrorKind.RATE and _RATE_WORDS.search(error.message) is not None,
                is_ban=_BAN.search(error.message) is not None,
                retry_after_s=error.retry_after_s,
            )


def describe(findings: Mapping[Imei, Finding]) -> str:
    """Give the first message among findings, for a reason to show."""
    return next((finding.message for finding in findings.values() if finding.message), "")


def _decide(chunk: Chunk, finding: Finding, attempt: int, policy: RetryPolicy, *, is_reachable: bool) -> Decision:
    match chunk.kind:
        case AttemptKind.PROBE:
            return Decision(OrderState.ACCEPTED, spends_attempt=False)
        case AttemptKind.AGAIN:
            return decide_again(finding)
        case _:
            return decide(finding, attempt=attempt, policy=policy, is_reachable=is_reachable)


def _charges(kind: AttemptKind, outcome: Outcome, repeat: Repeat | None) -> int:
    """Say how often the order was charged by this attempt, or by the one that it repeats.

    A doubt that turns out a duplicate was charged before, unless an older order explains the duplicate.
    """
    if outcome is Outcome.ACCEPTED:
        return 1
    is_settled = kind is AttemptKind.AGAIN and outcome is Outcome.DUPLICATE
    return int(is_settled and not (repeat is not None and repeat.was_ordered))
