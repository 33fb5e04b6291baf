"""Resume, pause, cancel and retry: a job's state changed in the ledger, or asked of the process that works on it.

Sends nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal

from imeiflow.domain.doubt import keep_lasting
from imeiflow.domain.ident import JobId, OrderId
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.progress import Tally
from imeiflow.errors import JobStateError, UsageError
from imeiflow.jobs.lock import LaneLock
from imeiflow.ledger.change import Again, Agreed
from imeiflow.ledger.record import Job
from imeiflow.operations.orphan import recover_orphans
from imeiflow.operations.session import Session
from imeiflow.operations.spend_limit import (
    Allowance,
    check_owner,
    find_counted,
    find_probe,
    hold_probe,
    hold_to_limit,
    weigh_rest,
)

RETRIED = frozenset({OrderState.FAILED, OrderState.REFUSED})
_AT_REST = frozenset({JobState.PAUSED, JobState.FINISHED})
_LOOK_EVERY_S = 0.1
_PATIENCE_S = 10.0


class HeldJobError(UsageError):
    """Job {job} is still held by the process that has worked on it: nothing was changed."""

    remedy = "Try again when that process has ended."


@dataclass(frozen=True, slots=True)
class Resumed:
    """What `resume` found: whether the job has to be followed, and whether it was running under another process."""

    job: JobId
    lock: LaneLock
    is_to_follow: bool
    was_running: bool
    queued: int = 0  #: orders that were queued again for it


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What a retry would queue again, by state, and what that costs; None where the price is not known.

    `elsewhere` counts what it leaves, because other jobs have ordered the same IMEIs since, by job.
    """

    counts: dict[OrderState, int]
    cost: Money | None
    elsewhere: dict[JobId, int]

    @property
    def count(self) -> int:
        """Count the orders."""
        return sum(self.counts.values())


def resume_job(
    session: Session,
    job: JobId,
    *,
    accept_price: Decimal | None = None,
    max_spend: Decimal | None = None,
    probe_up_to: Decimal | None = None,
    actor: str = "",
    spender: str | None = None,
    again: Again | None = None,
    is_detached: bool = False,
    within_s: float = _PATIENCE_S,
) -> Resumed:
    """Make a job run that can: paused, left by a dead process, or finished with something still to do.

    A paused one that has nothing to go on with is finished instead. All that is given counts, or nothing is changed.

    `accept_price` is what one order may cost where the price has risen since it was confirmed; where it costs more, or
    nothing was accepted, PriceRoseError is raised. `max_spend` is another spending cap; `probe_up_to` what its repeat
    probes may cost, to be weighed. `spender` is the user of the web application or the API who lets it go on, and is
    held to what they may spend in a day. `again` says which orders of a job at rest are queued again for that, with how
    many at most. `is_detached`: it is not followed in a terminal, which a remedy has to say, too. `within_s`: so long
    another process that holds it is waited for; blocks. Whoever gets `is_to_follow` must follow it.

    Raises UnknownJobError, JobStateError for a cancelled one, ConfigurationError where its account cannot be worked
    for any more, UsageError for a cap that cannot be kept, SpendLimitError, HeldJobError where another process does not
    let go of it, GuardError where more orders were meant than `again` says.
    """
    recover_orphans(session)
    found = session.find_job(job)
    session.lane_account(session.configuration.choose_account(found.account))
    if found.state not in _AT_REST:
        hold_probe(session, job, spender, probe_up_to)
        return _follow(session, found, is_retried=again is not None, has_cap=max_spend is not None)
    from imeiflow.operations.price import agree_price  # noqa: PLC0415 - it asks the provider; listings do not

    if spender is not None:
        check_owner(session, found, spender)
    if max_spend is not None and found.unit_price is None:
        raise UsageError(problem=f"the price of job {job} is not known, so a spending cap cannot be kept")
    options = _name_options(max_spend, probe_up_to, is_detached=is_detached)
    more = 0 if again is None else again.most or 0
    price = agree_price(session, job, more=more, up_to=accept_price, options=options)
    agreed = Agreed(price=price, max_spend=max_spend, again=again, actor=actor)
    with hold_to_limit(
        session, spender, lambda: weigh_rest(session, job, more=more, price=price, cap=max_spend)
    ) as allowed:
        if allowed is not None:
            agreed = _bound_probe(session, found, agreed, allowed, probe_up_to)
        return _revive(session, found, agreed, within_s)


def _bound_probe(session: Session, found: Job, agreed: Agreed, allowed: Allowance, up_to: Decimal | None) -> Agreed:
    """Give a job a cap that keeps a repeat probe of up to `up_to` within what is left, where it has to be kept."""
    if not allowed.cost.amount and not session.ledger.tally(found.id)[OrderState.UNCONFIRMED]:
        return agreed
    counted = find_counted(session, found.id)  # as the cap of a job counts: doubts take of it, too
    cap = found.max_spend if agreed.max_spend is None else agreed.max_spend
    room = None if cap is None else max(Decimal(0), cap - counted)
    bound = allowed.bound(find_probe(session, found, price=agreed.price, up_to=up_to), room)
    return agreed if bound is None else replace(agreed, max_spend=counted + bound, limit_of=found.submitted_by)


def _name_options(max_spend: Decimal | None, probe_up_to: Decimal | None, *, is_detached: bool) -> list[str]:
    amounts = {"--max-spend": max_spend, "--probe-up-to": probe_up_to}
    given = [f"{name} {amount:f}" for name, amount in amounts.items() if amount is not None]
    return [*given, "--detach"] if is_detached else given


def _follow(session: Session, found: Job, *, is_retried: bool, has_cap: bool) -> Resumed:
    """Give a job that runs, to be followed. Raises JobStateError for one that does not, or of which more is asked."""
    job = found.id
    if is_retried:
        raise JobStateError(job=job, state=found.state, wanted="retried")
    if has_cap:
        raise JobStateError(job=job, state=found.state, wanted="given another spending cap")
    if found.state is not JobState.RUNNING:
        remedy = "Submit a list of its cancelled rows: `imeiflow export` shows which they are."
        raise JobStateError(job=job, state=found.state, wanted="resumed", remedy=remedy)
    lock = session.job_lock(job)
    lock.acquire()
    return Resumed(job, lock, is_to_follow=True, was_running=True)


def _revive(session: Session, found: Job, agreed: Agreed, within_s: float) -> Resumed:
    """Let a job at rest go on, with its lock held first: one that runs and that nobody holds would seem orphaned."""
    job, lock = found.id, session.job_lock(found.id)
    take_lock(job, lock, within_s=within_s)  # who has just paused or finished it lets go of it in a moment
    try:
        revived = session.ledger.revive_job(job, found.state, agreed)
    except BaseException:
        lock.release()
        raise
    if not revived.runs:
        lock.release()  # nobody follows it
    return Resumed(job, lock, is_to_follow=revived.runs, was_running=False, queued=revived.queued)


def take_lock(job: JobId, lock: LaneLock, *, within_s: float = _PATIENCE_S) -> None:
    """Take a job's lock as soon as it is free: a job that runs, and whose lock nobody holds, would seem orphaned.

    Raises HeldJobError where that takes longer; blocks.
    """
    if not lock.acquire_within(within_s):
        raise HeldJobError(job=job)


def goes_on(job: Job, tally: Tally) -> bool:
    """Say whether there is anything that a job at rest could go on with: orders wait, or doubts that it settles."""
    return tally.waiting > 0 or (job.policy is Policy.SETTLE and tally[OrderState.UNCONFIRMED] > 0)


def find_dear_probe(session: Session, job: JobId) -> Money | None:
    """Give what repeat probes may cost in all where a finished job's doubts wait for one that needs the user's word.

    Those whose reply was lost count: each may have been charged. None where there is nothing to learn by one, or it
    may be made without asking.
    """
    found = session.find_job(job)
    account = session.configuration.accounts.get(found.account)
    if account is None or found.price is None or found.state is not JobState.FINISHED or found.policy is Policy.HOLD:
        return None
    if not session.ledger.tally(job)[OrderState.UNCONFIRMED]:
        return None
    cost = found.price * (session.ledger.lost_probes(job) + 1)
    seen = session.ledger.repeat_evidence(found.account, found.service)
    return None if cost.amount <= account.repeat_probe_max_price or keep_lasting(seen) else cost


def pause_job(session: Session, job: JobId) -> bool:
    """Pause a running job, or ask its process to; say whether it must be waited for. Raises JobStateError."""
    recover_orphans(session)
    found = session.find_job(job)
    if found.state is JobState.PAUSED:
        return False
    if found.state is not JobState.RUNNING:
        raise JobStateError(job=job, state=found.state, wanted="paused")
    session.ledger.request(job, JobState.PAUSED)
    return True


def cancel_job(session: Session, job: JobId) -> bool:
    """Cancel what a job has not sent yet, or ask its process to; say whether it must be waited for.

    Calls under way end and are recorded; what was accepted stays. Raises JobStateError where nothing is queued.
    """
    recover_orphans(session)
    found = session.find_job(job)
    if found.state is JobState.CANCELLED:
        session.ledger.cancel_queued(job)  # what a process that died between the two left behind
        return False
    if found.state is JobState.RUNNING:
        session.ledger.request(job, JobState.CANCELLED)
        return True
    if found.state is JobState.FINISHED and not session.ledger.tally(job).waiting:
        raise JobStateError(job=job, state=found.state, wanted="cancelled", remedy="Nothing of it waits any more.")
    # The job first: resumed by another process meanwhile, it would lose its orders while it runs.
    session.ledger.change_job(job, {found.state}, JobState.CANCELLED, "cancelled by the user")
    session.ledger.cancel_queued(job)
    return False


def wait_for_end(
    session: Session,
    job: JobId,
    on_look: Callable[[Tally], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until a job that was asked to pause or to end does not run any more; blocks."""
    looks = 0
    while session.find_job(job).state is JobState.RUNNING:
        if looks % 20 == 10:
            recover_orphans(session)  # its process may have died over it
        if looks % 10 == 0:
            on_look(session.ledger.tally(job))
        looks += 1
        sleep(_LOOK_EVERY_S)


def plan_retry(
    session: Session,
    job: JobId,
    states: AbstractSet[OrderState] = RETRIED,
    *,
    is_again: bool = False,
    chosen: Sequence[OrderId] | None = None,
) -> RetryPlan:
    """Count what a retry of `states` (failed, refused) would queue, with its cost. Raises UsageError, JobStateError.

    `chosen`: only of those orders.

    What may have been placed is never part of it; what another job has ordered since is only where `is_again`.
    """
    recover_orphans(session)
    if not states <= RETRIED:
        raise UsageError(problem="only failed and refused orders can be retried")
    found = session.find_job(job)
    if found.state in {JobState.RUNNING, JobState.CANCELLED}:
        remedy = f"Pause it first: `imeiflow pause {job}`." if found.state is JobState.RUNNING else None
        raise JobStateError(job=job, state=found.state, wanted="retried", remedy=remedy)
    ledger, elsewhere, left = session.ledger, Counter[JobId](), Counter[OrderState]()
    tally = Counter(ledger.tally(job).counts if chosen is None else ledger.count_chosen(job, chosen))
    if not is_again:
        for (state, other), number in ledger.ordered_since(job, states, chosen=chosen).items():
            elsewhere[other] += number
            left[state] += number
    counts = {state: tally[state] - left[state] for state in sorted(states) if tally[state] > left[state]}
    price = found.price
    return RetryPlan(counts, None if price is None else price * sum(counts.values()), dict(elsewhere))


def retry_job(
    session: Session,
    job: JobId,
    states: AbstractSet[OrderState] = RETRIED,
    *,
    most: int,
    is_again: bool = False,
    chosen: Sequence[OrderId] | None = None,
    accept_price: Decimal | None = None,
    actor: str = "",
    spender: str | None = None,
) -> tuple[int, Resumed]:
    """Queue a job's failed or refused orders again, count them, and let it go on: both, or none of it.

    `accept_price` and `spender` as in `resume_job`. Raises what that does, and GuardError where they are more than
    `most` by now; nothing is queued then.
    """
    again = Again(states=frozenset(states), is_again=is_again, chosen=chosen, most=most)
    resumed = resume_job(session, job, accept_price=accept_price, actor=actor, spender=spender, again=again)
    return resumed.queued, resumed
