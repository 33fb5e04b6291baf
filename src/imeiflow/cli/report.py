"""What became of a job, in a few lines: counts with reasons, and what to do next. Changes nothing."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

from imeiflow.cli.output import count, cut, end_sentence, screen_width, show_seconds, show_span, tell
from imeiflow.cli.state import TOLD, name_state
from imeiflow.domain.ident import JobId
from imeiflow.domain.item import OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, Policy
from imeiflow.domain.progress import Summary, Tally
from imeiflow.ledger.record import Job
from imeiflow.operations.job_detail import JobDetail, ShownReason, read_job_detail
from imeiflow.operations.json_text import clean
from imeiflow.operations.session import Session

if TYPE_CHECKING:
    from imeiflow.operations.follow import Followed

#: What a state means to whoever reads it for the first time.
MEANING = {
    OrderState.ACCEPTED: "the provider has them",
    OrderState.DUPLICATE: "the provider has them: from before, or from a call whose reply was lost",
    OrderState.REFUSED: "the provider said no",
    OrderState.FAILED: "proved not placed; attempts used up",
    OrderState.UNCONFIRMED: "may have been placed; not repeated on a guess",
    OrderState.QUEUED: "not sent yet",
    OrderState.SENDING: "no answer yet",
    OrderState.INVALID: "no readable IMEI; not sent",
    OrderState.REPEATED: "in the list before, or ordered before; not sent again",
    OrderState.CANCELLED: "cancelled before they were sent",
}
_MOST_REASONS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """Something the user can do next: the command, and what it does."""

    command: str
    does: str


def report_job(session: Session, job: JobId, followed: Followed | None = None, *, is_aside: bool = False) -> None:
    """Tell what became of a job, and what to do next; `is_aside`: on standard error, where the output is JSON."""
    report_detail(read_job_detail(session, job), followed, is_aside=is_aside)


def report_detail(detail: JobDetail, followed: Followed | None = None, *, is_aside: bool = False) -> None:
    """Tell what became of a job that was read already."""
    found, summary = detail.job, detail.summary if followed is None else followed.summary
    lines = [headline(found, summary, followed)]
    lines += list(tell_counts(summary.tally, detail.reasons, screen_width(_stream(is_aside))))
    if detail.odd_counts:
        number = sum(detail.odd_counts.values())
        odd = f"{count(number, 'thing')} that {'does' if number == 1 else 'do'} not fit"
        lines.append(f"Replies named {odd} to what was sent: see `imeiflow show {found.id}`.")
    money = tell_money(found, summary)
    lines += [line for line in (money, tell_rise(found, summary)) if line]
    if summary.reason:
        lines.append(f"Why: {end_sentence(summary.reason)}")
    lines += tell_steps(find_steps(detail, summary.tally))
    tell(lines, is_aside=is_aside)


def headline(job: Job, summary: Summary, followed: Followed | None = None) -> str:
    """Say in one line what became of a job."""
    worked = f"{count(summary.attempts, 'call')} in {show_seconds(summary.seconds)}"
    if followed is not None and followed.is_left_running:
        by = f" under {followed.owner}" if followed.owner else ""
        return f"Job {job.id} goes on{by}: {count(summary.tally.total, 'row')}, {worked} so far."
    return f"Job {job.id} is {summary.state}: {count(summary.tally.total, 'row')}, {worked}."


def tell_counts(tally: Tally, reasons: Iterable[ShownReason], width: int) -> Iterable[str]:
    """Say the counts by state, each with its most frequent reasons."""
    by_state: dict[OrderState, list[ShownReason]] = defaultdict(list)
    for reason in reasons:
        by_state[reason.state].append(reason)
    numbers = max((len(f"{tally[state]:,}") for state in TOLD), default=1)
    for state in TOLD:
        if not tally[state]:
            continue
        yield cut(f"  {tally[state]:>{numbers},} {name_state(state):<11} {MEANING[state]}", width)
        told = [reason for reason in by_state[state] if reason.message]
        for reason in told[:_MOST_REASONS]:
            example = f" (line {reason.line}: {clean(reason.imei)})" if reason.imei else f" (line {reason.line})"
            start = f"  {'':>{numbers}}   {reason.count:,} × "
            yield start + cut(reason.message, max(20, width - len(start) - len(example))) + example
        if len(told) > _MOST_REASONS:
            rest = sum(reason.count for reason in told[_MOST_REASONS:])
            yield f"  {'':>{numbers}}   {rest:,} × for other reasons: see `imeiflow show`"


def tell_money(job: Job, summary: Summary) -> str:
    """Say what was spent, and what may have been."""
    spent = summary.spent
    if spent is None or job.price is None:
        return "" if job.price is not None else "What it cost is not known: the provider gave no price."
    text = f"Spent: {spent}."
    if summary.probed is not None and summary.probed.amount:
        text += f" {summary.probed} of it, beyond what the list costs, for repeat probes: repeats are charged here."
    if summary.refunded is not None and summary.refunded.amount:
        text += f" {summary.refunded} of it for rejected orders, which the provider gives back."
    doubtful = summary.doubtful
    if doubtful is not None and doubtful.amount:
        what = _say_doubtful(summary.tally, job.price, doubtful)
        text += f" Up to {doubtful} more may have been charged for {what}."
    return text


def tell_rise(job: Job, summary: Summary) -> str:
    """Say that a price rose while orders were placed, and what they may have cost; empty where it did not."""
    rise = summary.price_rise
    if rise is None:
        return ""
    why, most = rise.say(*show_span(rise.since, rise.until)), rise.at_most(summary.spent)
    if most is None:
        return f"What was charged is not known: {why}."
    is_passed = rise.passes(job.cap, summary.spent, summary.doubtful)
    passed = f" So the spending cap of {job.cap} may have been passed." if is_passed else ""
    return f"Up to {most} may have been charged: {why}.{passed}"


def _say_doubtful(tally: Tally, price: Money, in_doubt: Money) -> str:
    """Say what may have been charged: orders, and what is more than all of them cost was a repeat probe."""
    unconfirmed, sending = tally[OrderState.UNCONFIRMED], tally[OrderState.SENDING]
    states = [name for number, name in ((unconfirmed, "unconfirmed"), (sending, "under way")) if number]
    causes = [f"what is {' or '.join(states)}"] if states else []
    if in_doubt.amount > (price * (unconfirmed + sending)).amount:
        causes.append("a repeat probe whose reply was lost")
    return " and ".join(causes) or "what is unconfirmed or under way"


def find_steps(detail: JobDetail, tally: Tally) -> list[Step]:
    """List what the user can do next about a job of which all is known."""
    statuses = detail.statuses
    steps = next_steps(
        detail.job,
        tally,
        probe=detail.dear_probe,
        awaited=statuses.open - statuses.stuck,
        stuck=statuses.stuck,
        no_repeat=detail.no_repeat,
        is_capped=_is_capped(detail),
    )
    if detail.summary.price_rise is not None and detail.job.kind is OrderKind.IMEI:
        command = f"imeiflow settle {detail.job.id} --from-export FILE --dry-run"
        steps.insert(0, Step(command, "see what the provider charged, as its own export says"))
    return steps


def _is_capped(detail: JobDetail) -> bool:
    """Say whether the job's cap has no room for one order more, so that going on needs another one."""
    cap, price, summary = detail.job.cap, detail.job.price, detail.summary
    if cap is None or price is None or summary.spent is None or summary.in_doubt is None:
        return False
    return summary.spent.amount + summary.in_doubt.amount + price.amount > cap.amount


def next_steps(
    job: Job,
    tally: Tally,
    *,
    probe: Money | None = None,
    awaited: int = 0,
    stuck: int = 0,
    no_repeat: str = "",
    is_capped: bool = False,
) -> list[Step]:
    """List what the user can do next, the most urgent first.

    `probe` is the cost of one that needs the user's word; `awaited` orders are waiting for their results, `stuck` ones
    wait in vain; `no_repeat` says why going on would send no doubt again; `is_capped`: the cap allows no more.
    """
    id_, steps = job.id, []
    price = job.price
    waiting, doubts = tally.waiting, tally[OrderState.UNCONFIRMED]
    again = tally[OrderState.REFUSED] + tally[OrderState.FAILED]
    if job.state is JobState.PAUSED:
        parts = [f"send the {waiting:,} that wait{'s' if waiting == 1 else ''}"] if waiting else []
        if doubts and job.policy is Policy.SETTLE:
            listed = "look for what is unconfirmed in the provider's list of orders, and repeat nothing"
            parts.append(listed if no_repeat else "settle what is unconfirmed as far as can be known")
        what = ", then ".join(parts) or "finish it: nothing of it waits"
        cap = " --max-spend AMOUNT" if waiting and is_capped else ""
        steps.append(Step(f"imeiflow resume {id_}{cap}", what))
    if job.state is JobState.RUNNING:
        steps.append(Step(f"imeiflow resume {id_}", "follow it here"))
        steps.append(Step(f"imeiflow pause {id_}", "let calls under way end, and send nothing more"))
    if probe is not None:
        does = (
            f"repeat one order, which may cost {say_probe(job, probe)}, to learn whether the {doubts:,} can be settled"
        )
        steps.append(Step(f"imeiflow resume {id_} --probe-up-to {probe.amount:f}", does))
    if doubts:
        steps.append(Step(f"imeiflow settle {id_}", f"see the evidence of the {doubts:,} unconfirmed, and decide"))
    if again and job.state in {JobState.FINISHED, JobState.PAUSED}:
        cost = f", for {price * again}" if price is not None else ""
        steps.append(Step(f"imeiflow retry {id_}", f"send the {again:,} refused or failed again{cost}"))
    if again or doubts or tally[OrderState.INVALID]:
        steps.append(Step(f"imeiflow show {id_}", "all reasons"))
    if awaited and job.state is not JobState.RUNNING:
        these = "accepted order to its result" if awaited == 1 else f"{awaited:,} accepted orders to their results"
        steps.append(Step(f"imeiflow sync {id_} --watch", f"follow the {these}"))
    elif stuck and job.state is not JobState.RUNNING:
        these = "accepted order" if stuck == 1 else f"{stuck:,} accepted orders"
        does = f"name the {these} that no waiting ends; ask the provider about {'it' if stuck == 1 else 'them'}"
        steps.append(Step(f"imeiflow sync {id_}", does))
    if job.state in {JobState.FINISHED, JobState.CANCELLED}:
        is_list = job.kind is OrderKind.IMEI
        does = "your file back, with what became of every row" if is_list else "a table of what became of every order"
        steps.append(Step(f"imeiflow export {id_} -o FILE", does))
        if is_list and (again or tally[OrderState.INVALID]):
            does = "the rows to mend, with the error beside each"
            steps.append(Step(f"imeiflow export {id_} --failed -o FILE", does))
    return steps


def say_probe(job: Job, cost: Money) -> str:
    """Say what a repeat probe may cost; with those before it, of which it is not known whether they were charged."""
    price = job.price
    return f"{cost}" if price is None or cost.amount <= price.amount else f"{cost} with those whose reply was lost"


def tell_steps(steps: Iterable[Step]) -> list[str]:
    """Write the next steps as lines, their commands aligned."""
    steps = list(steps)
    width = max((len(step.command) for step in steps), default=0)
    return ["Next:", *(f"  {step.command:<{width}}  {step.does}" for step in steps)] if steps else []


def _stream(is_aside: bool) -> TextIO:
    return sys.stderr if is_aside else sys.stdout
