"""The invariant of the promise: what the ledger says against what the simulated provider's book holds.

It reads the ledger's file with SQL of its own and trusts nothing of the code under test. One call, `judge`, checks
every order of the ledger: where it stands in the book, how often it was charged, which of its attempts may have
placed it, and whether counts and money add up. It may be asked whenever nobody works on the ledger.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from imeiflow.simulator import Entry

#: States that say that the provider has it; states that say that it may; and those that say that it has not.
HAS = frozenset({"accepted", "duplicate"})
MAY_HAVE = frozenset({"unconfirmed", "sending"})
HAS_NOT = frozenset({"queued", "refused", "failed", "cancelled", "invalid", "repeated"})


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt on one order; `outcome` is None while its end is not known."""

    attempt: int
    kind: str
    ending: str | None
    outcome: str | None
    reference: str | None
    charges: int
    price: Decimal | None
    is_settled: bool

    @property
    def may_have_placed(self) -> bool:
        """Say whether, by itself, it may have placed the order."""
        return self.outcome in {None, "accepted"} or (self.outcome == "unconfirmed" and not self.is_settled)


@dataclass(frozen=True, slots=True)
class Line:
    """One order as the ledger has it."""

    id: int
    job: int
    service: str
    imei: str
    state: str
    reference: str | None
    price: Decimal | None  #: None where nobody knows it
    charges: int
    status: str | None
    tries: tuple[Try, ...]
    is_priced: bool  #: the price was recorded with it

    @property
    def references(self) -> set[str]:
        """Give every reference that it, or any of its attempts, was told."""
        return {one for one in (self.reference, *(each.reference for each in self.tries)) if one is not None}

    @property
    def may_lack_reference(self) -> bool:
        """Say whether it may have been placed without anybody having been told its reference."""
        return any(one.outcome in {None, "unconfirmed"} for one in self.tries)

    @property
    def probes(self) -> list[Try]:
        """List the attempts that repeated it to learn about repeats."""
        return [one for one in self.tries if one.kind == "probe"]

    @property
    def probed(self) -> Decimal:
        """Add up what its repeat probes were charged, each at the price of its time."""
        return sum((one.charges * (one.price or Decimal(0)) for one in self.probes), Decimal(0))

    @property
    def spent(self) -> Decimal:
        """Add up what it was charged, as the ledger says."""
        own = self.charges - sum(one.charges for one in self.probes)
        return own * (self.price or Decimal(0)) + self.probed


@dataclass
class Verdict:
    """What the judge found; `problems` is empty when ledger and book agree."""

    lines: list[Line]
    problems: list[str] = field(default_factory=list)
    spent: Decimal = Decimal(0)
    doubtful: Decimal = Decimal(0)  #: what may have been charged beyond `spent`
    charged: Decimal = Decimal(0)  #: what the book charged for these orders
    refunded: Decimal = Decimal(0)  #: what the ledger says that rejected orders had cost
    probed: Decimal = Decimal(0)  #: what the ledger says that repeats were charged
    repeated: Decimal = Decimal(0)  #: what the book charged for repeats

    def count(self, *states: str) -> int:
        """Count the orders in any of `states`."""
        return sum(line.state in states for line in self.lines)


def judge(
    ledger: str | Path,
    book: Iterable[Entry],
    *,
    before: Iterable[Entry] = (),
    placing_calls: int | None = None,
    is_abandoned: bool = False,
) -> Verdict:
    """Compare ledger and book order by order, and fail with everything that does not fit.

    `before` are entries that were in the book before the ledger's jobs began. `placing_calls` is how many placing
    calls the server received: each must have been recorded. `is_abandoned` allows for a dead process's calls.
    """
    verdict = examine(ledger, book, before=before, placing_calls=placing_calls, is_abandoned=is_abandoned)
    assert not verdict.problems, "\n".join(verdict.problems[:20])
    return verdict


def examine(
    ledger: str | Path,
    book: Iterable[Entry],
    *,
    before: Iterable[Entry] = (),
    placing_calls: int | None = None,
    is_abandoned: bool = False,
) -> Verdict:
    """Compare as `judge` does, and give what was found instead of failing."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        verdict = Verdict(_read_lines(connection))
        if not is_abandoned:
            verdict.problems += _find_loose_ends(connection)
        recorded = connection.execute("SELECT count(*) FROM attempt").fetchone()[0]
        verdict.problems += _find_wrong_sums(connection, verdict.lines)
    if placing_calls is not None and placing_calls > recorded:
        verdict.problems.append(f"{placing_calls} placing calls were received, {recorded} attempts recorded")
    old = {entry.reference for entry in before}
    entries: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in book:
        if entry.reference not in old:
            entries[entry.imei, entry.service].append(entry)
    ordered_before = {(entry.imei, entry.service) for entry in before}
    same: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in verdict.lines:
        same[line.imei, line.service].append(line)
    for key, lines in same.items():
        found = entries.pop(key, [])
        for line, mine in _share(lines, found):
            _judge_line(line, mine, verdict, was_there=key in ordered_before or len(mine) < len(found))
    verdict.problems += [f"{imei} was ordered, and no order of the ledger knows of it" for imei, _ in entries]
    _judge_references(verdict)
    if not verdict.spent <= verdict.charged <= verdict.spent + verdict.doubtful:
        verdict.problems.append(f"spent {verdict.spent} (doubtful {verdict.doubtful}), charged {verdict.charged}")
    return verdict


def _find_wrong_sums(connection: sqlite3.Connection, lines: Sequence[Line]) -> list[str]:
    """Compare the sums of charges that the ledger keeps with its orders, job by job: how many, and how much."""
    counted: dict[int, tuple[int, Decimal]] = {}
    for job, price, times in connection.execute("SELECT job_id, price, times FROM charge"):
        number, amount = counted.get(job, (0, Decimal(0)))
        counted[job] = number + times, amount + times * Decimal(price or 0)
    wanted: dict[int, tuple[int, Decimal]] = {}
    for line in lines:
        if line.charges:
            number, amount = wanted.get(line.job, (0, Decimal(0)))
            wanted[line.job] = number + line.charges, amount + (line.spent if line.is_priced else Decimal(0))
    return [
        f"job {job}: its orders were charged {wanted.get(job)}, its sums say {counted.get(job)}"
        for job in wanted.keys() | counted.keys()
        if wanted.get(job) != counted.get(job)
    ]


def _share(lines: Sequence[Line], entries: Sequence[Entry]) -> list[tuple[Line, list[Entry]]]:
    """Share what the book has of one IMEI among the orders of it: by reference, the rest to those that lack one."""
    if len(lines) == 1:
        return [(lines[0], list(entries))]
    owner = {reference: line.id for line in lines for reference in line.references}
    mine = {line.id: [one for one in entries if owner.get(one.reference) == line.id] for line in lines}
    lacking = [line.id for line in lines if line.may_lack_reference and not mine[line.id]]
    for one in entries:
        if one.reference not in owner:
            mine[lacking.pop(0) if lacking else lines[0].id].append(one)
    return [(line, mine[line.id]) for line in lines]


def _judge_line(line: Line, mine: Sequence[Entry], verdict: Verdict, *, was_there: bool) -> None:
    problems: list[str] = []
    references = {entry.reference for entry in mine}
    if line.state in HAS and not mine and not was_there:
        problems.append("the book does not have it")
    if line.state in HAS_NOT and mine:
        problems.append("the book has it")
    if line.state == "accepted" and line.reference is not None and line.reference not in references:
        problems.append(f"its reference {line.reference} is not among the book's {sorted(references)}")
    repeats = len(mine) - 1
    if repeats > 0 and repeats > sum(one.may_have_placed for one in line.probes):
        problems.append(f"it was placed {len(mine)} times")
    problems += _judge_tries(line)
    if line.price is not None:
        spent = line.spent
        charged = sum((entry.price for entry in mine), Decimal(0))
        doubtful = line.price * _count_doubts(line)
        if not spent <= charged <= spent + doubtful:
            problems.append(f"the ledger says {spent} (doubtful {doubtful}), the book charged {charged}")
        verdict.spent += spent
        verdict.doubtful += doubtful
        verdict.charged += charged
        verdict.probed += line.probed
        verdict.repeated += sum((entry.price for entry in mine[1:]), Decimal(0))
        problems += _judge_refund(line, mine, verdict)
    verdict.problems += [
        f"order {line.id} ({line.imei}, {line.state}): {problem}; attempts {line.tries}" for problem in problems
    ]


def _judge_refund(line: Line, mine: Sequence[Entry], verdict: Verdict) -> list[str]:
    """Look at an order that the ledger calls rejected: the book must have rejected it, and given its price back."""
    if line.status != "rejected":
        return []
    verdict.refunded += line.spent
    if not all(entry.life.is_rejected for entry in mine):
        return ["the book has not rejected it"]
    refunded = sum((entry.price for entry in mine if entry.life.is_refunded), Decimal(0))
    if any(entry.life.is_refunded for entry in mine) and refunded != line.spent:
        return [f"the ledger says that {line.spent} was given back, the book gave {refunded}"]
    return []


def _judge_tries(line: Line) -> list[str]:
    """Look at the attempts alone: none may follow one that may have placed the order, unless it was covered."""
    problems: list[str] = []
    plain = [one for one in line.tries if one.kind in {"place", "canary"} and one.may_have_placed]
    if len(plain) > 1:
        problems.append("two attempts may both have placed it")
    for earlier, later in zip(line.tries, line.tries[1:], strict=False):
        is_late = earlier.ending == "in_doubt"  # what it proves came when the later one had been made
        is_final = earlier.outcome in {"accepted", "duplicate"} and earlier.kind != "probe" and not is_late
        if is_final and later.kind != "probe":
            problems.append(f"attempt {later.attempt} was made after attempt {earlier.attempt} had settled it")
    if line.state == "unconfirmed" and not plain:
        problems.append("it is in doubt without an attempt that may have placed it")
    placing = {one.outcome for one in line.tries if one.kind != "probe"}
    if line.state == "accepted" and placing.isdisjoint({"accepted", "unconfirmed"}):
        problems.append("it is accepted without an attempt that may have placed it")
    return problems


def _count_doubts(line: Line) -> int:
    """Count the charges that the order may have cost beyond those that are known."""
    return int(line.state in MAY_HAVE) + sum(one.outcome in {None, "unconfirmed"} for one in line.probes)


def _judge_references(verdict: Verdict) -> None:
    seen: dict[str, int] = {}
    for line in verdict.lines:
        if line.state == "accepted" and line.reference is not None:
            other = seen.setdefault(line.reference, line.id)
            if other != line.id:
                verdict.problems.append(f"orders {other} and {line.id} share the reference {line.reference}")


def _read_lines(connection: sqlite3.Connection) -> list[Line]:
    tries: Mapping[int, list[Try]] = defaultdict(list)
    rows = connection.execute(
        "SELECT t.order_id, a.id, a.kind, a.ending, t.outcome, t.reference, t.charges, t.price,"
        " t.settled_at IS NOT NULL FROM"
        " (SELECT order_id, attempt_id, outcome, reference, charges, price, settled_at FROM attempt_order UNION ALL"
        " SELECT id, attempt_id, NULL, NULL, 0, NULL, NULL FROM orders WHERE state = 'sending') t"
        " JOIN attempt a ON a.id = t.attempt_id ORDER BY a.id"
    )
    for order, *rest in rows:
        tries[order].append(Try(*rest[:-2], _read_price(rest[-2]), bool(rest[-1])))
    rows = connection.execute(
        "SELECT o.id, o.job_id, j.service, coalesce(o.imei, o.value), o.state, o.reference,"
        " coalesce(o.price, j.unit_price), o.charges,"
        " o.status, o.price IS NOT NULL FROM orders o JOIN job j ON j.id = o.job_id"
        " WHERE j.state != 'draft' AND o.state != 'repeated' ORDER BY o.id"
    )
    return [
        Line(
            id_,
            job,
            service,
            imei or "",
            state,
            reference,
            _read_price(price),
            charges,
            status,
            tuple(tries[id_]),
            is_priced == 1,
        )
        for id_, job, service, imei, state, reference, price, charges, status, is_priced in rows
    ]


def _read_price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _find_loose_ends(connection: sqlite3.Connection) -> list[str]:
    """Find what must never stand in a ledger that nobody works on."""
    found = {
        "orders are still sending": "SELECT count(*) FROM orders WHERE state = 'sending'",
        "attempts are still open": "SELECT count(*) FROM attempt WHERE ended_at IS NULL",
        "orders are queued in a finished job": "SELECT count(*) FROM orders o JOIN job j ON j.id = o.job_id"
        " WHERE o.state = 'queued' AND j.state IN ('finished', 'cancelled')",
        "attempts tell nothing of their orders": "SELECT count(*) FROM attempt a WHERE a.size !="
        " (SELECT count(*) FROM attempt_order t WHERE t.attempt_id = a.id)",
    }
    counts = {words: connection.execute(query).fetchone()[0] for words, query in found.items()}
    return [f"{count} {words}" for words, count in counts.items() if count]
