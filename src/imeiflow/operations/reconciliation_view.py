"""What an export would settle, in sentences, line by line. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from imeiflow.domain.money import Money
from imeiflow.operations.json_text import clean
from imeiflow.operations.reconciliation import Reconciliation
from imeiflow.operations.statement import ExportedOrder

_EXAMPLES = 3


def tell_reconciliation(found: Reconciliation, *, is_complete: bool) -> Iterator[str]:
    """Say what the export holds, what it settles, what it cannot, and in what it differs from the ledger."""
    statement, plan = found.statement, found.plan
    known = len({row.imei for row in statement})
    yield f"{clean(statement.name)}: {_count(statement.total, 'row')}, {_count(known, 'IMEI')}"
    yield from (f"  {clean(text)}" for text in statement.notes)
    if statement.unreadable:
        yield f"  {_count(statement.unreadable, 'row')} without a readable IMEI:"
        yield from (f"      {clean(example)}" for example in statement.examples[:_EXAMPLES])
    yield from _tell_clock(found)
    yield ""
    yield f"Job {plan.job.id}: {_count(len(plan.orders), 'order')} unconfirmed"
    yield from _tell_settled(found)
    yield from _tell_obscure(found)
    left = len(plan.orders) - len(found.settled) - len(found.obscure)
    if left:
        yield f"  {left:,} not in the export"
        if found.unnamed:
            said = "and no row names them" if is_complete else "if it is complete for that time, say --complete"
            yield f"      {len(found.unnamed):,} of them sent between its first and its last row: {said}"
        for why, number in found.held.most_common():
            yield f"      {number:,} of them stay unconfirmed, complete or not: {why.sentence}"
    yield from _tell_rest(found)
    if is_complete:
        yield from _tell_absent(found)


def _tell_clock(found: Reconciliation) -> Iterator[str]:
    if found.clock is not None:
        why = f", as {_count(found.clock.pairs, 'certain order')} tell" if found.clock.pairs else ""
        yield f"  Its dates are read as {found.clock.describe()}{why}."
    elif found.statement.has_dates:
        yield "  In which time zone its dates are cannot be told from orders that are certain: say it with --timezone."
    elif found.statement.orders:
        yield "  It does not say when orders were placed: they are told by IMEI and service alone."


def _tell_settled(found: Reconciliation) -> Iterator[str]:
    if not found.settled:
        return
    plan = found.placed
    cost = f", {plan.cost} counted as spent" if plan.cost is not None else ""
    yield f"  {len(found.settled):,} named by it: placed{cost}"
    for row in list(found.settled.values())[:_EXAMPLES]:
        yield f"      {_tell_row(row)}"


def _tell_obscure(found: Reconciliation) -> Iterator[str]:
    reasons = Counter(why for _, why in found.obscure)
    for why, number in reasons.most_common():
        yield f"  {number:,} to look at yourself: {why.sentence}"
        examples = [order.imei for order, reason in found.obscure if reason is why]
        yield f"      {', '.join(examples[:_EXAMPLES])}{', …' if number > _EXAMPLES else ''}"


def _tell_rest(found: Reconciliation) -> Iterator[str]:
    yield ""
    yield f"{_count(found.confirmed, 'row')} of orders that the ledger has as placed; {len(found.updates):,} tell news."
    for job, number in sorted(found.elsewhere.items()):
        yield f"It names {_count(number, 'unconfirmed order')} of job {job}: `imeiflow settle {job} --from-export FILE`"
    if found.unknown:
        total = _add_up(row.price for row in found.unknown)
        yield f"{_count(len(found.unknown), 'order')}{total} that the provider has and this ledger does not:"
        yield from (f"      {_tell_row(row)}" for row in found.unknown[:_EXAMPLES])
    if found.unclear:
        they = "It may be of an order" if len(found.unclear) == 1 else "They may be of orders"
        yield f"{_count(len(found.unclear), 'row')} left open. {they} that this ledger has: which cannot be told."
        yield from (f"      {_tell_row(row)}" for row in found.unclear[:_EXAMPLES])
    if found.dearer:
        yield f"{_count(len(found.dearer), 'price')} that {'differs' if len(found.dearer) == 1 else 'differ'}:"
        for one in found.dearer[:_EXAMPLES]:
            yield f"      {one.order.imei}: {one.row.price} in the export, {one.recorded} here (job {one.order.job})"


def _tell_absent(found: Reconciliation) -> Iterator[str]:
    """Say which orders the ledger has as placed and a complete export has not: somebody is wrong about them."""
    if not found.absent:
        return
    number, cost = _count(len(found.absent), "order"), _add_up(one.recorded for one in found.absent)
    yield f"{number}{cost} of its time that this ledger has as placed, and that no row names:"
    for one in found.absent[:_EXAMPLES]:
        reference = f", order {one.reference}" if one.reference else ""
        yield f"      {one.imei}  job {one.job}{reference}  {one.began_at.astimezone():%Y-%m-%d %H:%M}"
    yield "      They stay as they are. Ask the provider about them, or look whether the export is complete."


def _tell_row(row: ExportedOrder) -> str:
    at = next(iter(row.moments.values()), None)
    parts = [f"line {row.line}: {row.imei}", clean(row.service), f"{at:%Y-%m-%d %H:%M}" if at else ""]
    parts += [row.status.value if row.status else "", str(row.price) if row.price else ""]
    return "  ".join(part for part in parts if part)


def _add_up(prices: Iterable[Money | None]) -> str:
    sums: dict[str, Money] = {}
    for price in prices:
        if price is not None:
            known = sums.get(price.currency)
            sums[price.currency] = price if known is None else known + price
    return f" ({' and '.join(map(str, sums.values()))})" if sums else ""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what if number == 1 else f'{what}s'}"
