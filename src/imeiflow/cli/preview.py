"""What a list would order and cost, in words and as JSON, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from imeiflow.cli.output import count, cut, show_time
from imeiflow.domain.money import Money
from imeiflow.domain.price import Quote, say_move
from imeiflow.domain.recurrence import Past
from imeiflow.intake.preview import Example, Group
from imeiflow.operations.earlier import Earlier, PastGroup
from imeiflow.operations.json_text import clean
from imeiflow.operations.submit import Proposal

K = TypeVar("K")
G = TypeVar("G", Group, PastGroup)

_EXAMPLES = 3
_LONGEST_VALUE = 40


def tell_proposal(proposal: Proposal) -> Iterator[str]:
    """Say what was found: counts first, then problems grouped by what repairs them, then what it costs."""
    preview = proposal.preview
    yield f"{clean(proposal.source)}: {count(preview.total, 'row')}"
    yield from (f"  {clean(note)}" for note in proposal.notes)
    yield ""
    counts = [
        (preview.valid, "to order", f"{preview.repaired:,} of them repaired" if preview.repaired else ""),
        (preview.skipped, "skipped", "ordered before under this service: see below"),
        (preview.repeated, "repeated", "their IMEI stands in the list before; it is ordered at most once"),
        (preview.invalid, "invalid", "no readable IMEI; not sent, and told apart at the end"),
    ]
    width = max(len(f"{number:,}") for number, _, _ in counts)
    for number, what, meaning in counts:
        if number or what == "to order":
            yield f"  {number:>{width},} {what:<9} {meaning}".rstrip()
    yield from _tell_groups(proposal)
    yield ""
    yield from _tell_cost(proposal)
    if preview.skipped and not preview.valid:
        yield "  Nothing is left to order: it costs nothing."


def tell_change(shown: Proposal, started: Proposal) -> Iterator[str]:
    """Say what is otherwise than it was shown, where that needed no word more: a lower price, a list not to be had."""
    if started.price != shown.price:
        said = say_move(started.service, shown.price, Quote(is_listed=True, price=started.price))
        yield f"Since the list was read, {clean(said)}; it costs {started.cost or 'what nobody knows'} in all."
    if shown.prices.is_fresh and not started.prices.is_fresh:
        problem = clean(started.prices.problem)
        yield f"The price list could not be fetched again: {problem}. The price is that of the list shown."


def describe_cost(proposal: Proposal) -> str:
    """Say count, price and total of what would be ordered."""
    valid = proposal.preview.valid
    what = proposal.service_name or f"service {proposal.service}"
    if proposal.price is None:
        return f"{count(valid, 'IMEI')} × {clean(what)} at a price that is not known, with account {proposal.account}"
    return f"{count(valid, 'IMEI')} × {proposal.price} = {proposal.cost} ({clean(what)}, account {proposal.account})"


def _tell_groups(proposal: Proposal) -> Iterator[str]:
    preview, earlier = proposal.preview, proposal.earlier
    if preview.flaws:
        yield ""
        yield "Invalid:"
        for flaw, group in _by_size(preview.flaws.items()):
            yield f"  {group.count:,} × {flaw.sentence}"
            yield f"      {flaw.remedy}"
            yield from _tell_examples(group.examples)
    if preview.repairs:
        yield ""
        yield "Repaired:"
        for repair, group in _by_size(preview.repairs.items()):
            yield f"  {group.count:,} × {repair.sentence}"
            yield from _tell_examples(group.examples)
    if preview.repeated:
        yield ""
        yield "Repeated:"
        for example in preview.repetitions.examples[:_EXAMPLES]:
            yield f"      line {example.line}: {_show_value(example)}  {example.sentence}"
    if earlier.count:
        yield ""
        yield from _tell_earlier(earlier, proposal.price)


def _tell_earlier(earlier: Earlier, price: Money | None) -> Iterator[str]:
    yield f"Ordered before under this service: {earlier.count:,}"
    for past, group in _by_size(earlier.groups.items()):
        does = "skipped" if earlier.skips(past) else "ordered again"
        yield f"  {group.count:,} × {does} - {past.sentence} ({_tell_jobs(group)})"
        for example in group.examples[:_EXAMPLES]:
            yield f"      line {example.line}: {_show_value(example)}  {clean(example.sentence)}"
    unsettled = earlier.groups.get(Past.UNSETTLED)
    if unsettled is not None:
        jobs = ", ".join(f"`imeiflow settle {job}`" for job in list(unsettled.jobs)[:_EXAMPLES])
        yield f"  What may have been placed is not ordered again before it is settled: {jobs}."
    left = earlier.skipped - (unsettled.count if unsettled is not None else 0)
    if left:
        cost = f", for {price * left}" if price is not None else ""
        yield f"  An export shows the skipped with their earlier results. --again orders {left:,} once more{cost}."


def _tell_jobs(group: PastGroup) -> str:
    """Say which jobs ordered a group, and when."""
    shown = list(group.jobs)[:_EXAMPLES]
    more = ", …" if len(group.jobs) > len(shown) else ""
    first, last = (f"{at:%Y-%m-%d}" if at is not None else "" for at in (group.first_at, group.last_at))
    return f"job{'s' if len(group.jobs) > 1 else ''} {', '.join(map(str, shown))}{more}; {first}" + (
        f" to {last}" if last != first else ""
    )


def _tell_examples(examples: Iterable[Example]) -> Iterator[str]:
    for example in list(examples)[:_EXAMPLES]:
        read = f" → {example.imei}" if example.imei else ""
        yield f"      line {example.line}: {_show_value(example)}{read}"


def _show_value(example: Example) -> str:
    value = cut(clean(example.value), _LONGEST_VALUE)
    return value or "(empty)"


def _by_size(groups: Iterable[tuple[K, G]]) -> list[tuple[K, G]]:
    return sorted(groups, key=lambda item: -item[1].count)


def _tell_cost(proposal: Proposal) -> Iterator[str]:
    prices, price, cost = proposal.prices, proposal.price, proposal.cost
    name = f" {clean(proposal.service_name)}" if proposal.service_name else ""
    yield f"Service {proposal.service}{name}, account {proposal.account}"
    if not prices.is_fresh:
        yield f"  The price list could not be fetched: {clean(prices.problem)}"
        if price is not None:
            yield f"  The price is that of {show_time(prices.as_of)}."
    if price is None or cost is None:
        yield "  price     not known"
    else:
        yield f"  cost      {proposal.preview.valid:,} × {price} = {cost}"
    yield from _tell_probe(proposal)
    yield from _tell_balance(proposal, cost)
    if proposal.max_spend is not None and price is not None and cost is not None:
        cap = Money(proposal.max_spend, price.currency)
        enough = "" if cost.amount <= cap.amount else f": pauses after {count(_affordable(cap, price), 'order')}"
        yield f"  cap       {cap}{enough}"


def _tell_probe(proposal: Proposal) -> Iterator[str]:
    """Say what may come on top of the cost where replies get lost."""
    price, limit = proposal.price, proposal.probe_limit
    if price is None or limit is None:
        return
    most = f"; {limit} at the very most" if limit.amount > price.amount else ""
    cap = "; the cap counts it" if proposal.max_spend is not None else ""
    test = "an order may be sent twice to see whether that is charged"
    yield f"  besides   {price} if replies get lost: {test}{most}{cap}"


def _tell_balance(proposal: Proposal, cost: Money | None) -> Iterator[str]:
    credit, price, after = proposal.credit, proposal.price, proposal.balance_after
    if credit.balance is None:
        yield f"  balance   not told by the provider: {clean(credit.problem)}"
        return
    running = ""
    if credit.outstanding is None:
        running = "; what jobs that run will take of it is not known"
    elif credit.outstanding:
        running = f", of which jobs that run may take {Money(credit.outstanding, credit.balance.currency)}"
    if cost is None or price is None or after is None or credit.left is None:
        yield f"  balance   {credit.balance}{running}"
    elif after.amount >= 0:
        yield f"  balance   {credit.balance} now{running}, {after} after it"
    else:
        enough = max(0, _affordable(credit.left, price))
        rest = f"enough for {enough:,} of {proposal.preview.valid:,}; then the job pauses"
        yield f"  balance   {credit.balance}{running}: {rest}"


def _affordable(amount: Money, price: Money) -> int:
    return int(amount.amount // price.amount) if price.amount else 0
