"""What becomes of an order, and of its job, because of what one attempt proved.

Pure: no clock, no SQL, no network. The engine asks, the ledger stores the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from msgspec import Struct

from imeiflow.domain.order import OrderState
from imeiflow.domain.outcome import ErrorKind, Outcome
from imeiflow.domain.reply import Account, Finding


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an order that was proved not placed is tried again."""

    max_attempts: int = 5


class Decision(Struct, frozen=True):
    """The order's next state, and whether the attempt counts against its attempts."""

    state: OrderState
    spends_attempt: bool = True


def decide(finding: Finding, *, attempt: int, policy: RetryPolicy, is_reachable: bool = True) -> Decision:
    """Decide what becomes of an order after its counted attempt number `attempt` (from 1).

    Only an outcome that proves the order was not placed leads back to the queue: a paid request is never
    repeated on a guess. Throttling is back-pressure, not failure, so it spends no attempt; nor does a call that did
    not leave while the provider could not be reached by any (`is_reachable`).
    """
    match finding.outcome:
        case Outcome.ACCEPTED:
            return Decision(OrderState.ACCEPTED)
        case Outcome.DUPLICATE:
            return Decision(OrderState.DUPLICATE)
        case Outcome.REFUSED:
            return Decision(OrderState.REFUSED)
        case Outcome.UNCONFIRMED:
            return Decision(OrderState.UNCONFIRMED)
        case Outcome.THROTTLED:
            return Decision(OrderState.QUEUED, spends_attempt=False)
        case Outcome.UNSENT:
            if not is_reachable:
                return Decision(OrderState.QUEUED, spends_attempt=False)
            if attempt >= policy.max_attempts:
                return Decision(OrderState.FAILED)
            return Decision(OrderState.QUEUED)
        case _:
            assert_never(finding.outcome)


def decide_again(finding: Finding) -> Decision:
    """Decide what becomes of an order in doubt that was sent again, alone, because its doubt was covered.

    A definite no to the repeat says nothing about the first attempt, so the doubt stays.
    """
    match finding.outcome:
        case Outcome.ACCEPTED:
            return Decision(OrderState.ACCEPTED)
        case Outcome.DUPLICATE:
            return Decision(OrderState.DUPLICATE)
        case Outcome.REFUSED | Outcome.UNCONFIRMED | Outcome.THROTTLED | Outcome.UNSENT:
            return Decision(OrderState.UNCONFIRMED, spends_attempt=False)
        case _:
            assert_never(finding.outcome)


_STOPPING = frozenset({ErrorKind.ACCOUNT, ErrorKind.SERVICE})


def reason_to_pause(account: Account) -> str | None:
    """Say why the job must stop at once because of this reply, or None.

    An error of the account (key, user, IP, credit) or of the service concerns every order that would follow.
    """
    if account.error is not None and account.error.kind in _STOPPING:
        return account.error.message
    for finding in account.findings.values():
        if finding.kind in _STOPPING:
            return finding.message
    return None


def is_of_service(account: Account) -> bool:
    """Say whether what stops the job concerns its service alone: jobs of other services may go on."""
    kinds = {finding.kind for finding in account.findings.values()} | {account.error and account.error.kind}
    return ErrorKind.SERVICE in kinds and ErrorKind.ACCOUNT not in kinds
