"""The account of a reply: what it says of each IMEI that was sent, and of nothing else.

Pure. A provider reads leniently and hands over `ReplyContent`; `account_for` is strict: each IMEI that was sent
is looked up, whatever the reply claims as a whole. An IMEI that is not named is unconfirmed, because a known panel
places and charges them all and reports only the last. What is made for every order is a msgspec struct: as frozen as
the others, and made in a tenth of the time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from msgspec import Struct

from imeiflow.domain.ident import Reference
from imeiflow.domain.imei import Imei
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome

#: Kinds of errors of a whole call that prove that none of its orders was placed; of credit, see `WholeError`.
PROVES_NONE_PLACED = frozenset({ErrorKind.ACCOUNT, ErrorKind.RATE})
_OF_WHICH = "it is not said which of the call's orders"
_BEFORE_CREDIT_ENDED = "some of the call's orders may have been placed before"


class NamedOrder(Struct, frozen=True):
    """An order that a reply names. `imei` is empty where the server does not echo it."""

    imei: str
    reference: str
    status: ResultStatus | None = None


@dataclass(frozen=True, slots=True)
class NamedError:
    """An error that a reply ties to one IMEI."""

    imei: str
    kind: ErrorKind
    message: str


@dataclass(frozen=True, slots=True)
class WholeError:
    """An error that a reply gives for the whole call. `duplicate` marks "exists already", `is_of_credit` its end."""

    kind: ErrorKind
    message: str
    duplicate: bool = False
    retry_after_s: float | None = None
    is_of_credit: bool = False

    def proves_none_placed(self, count: int) -> bool:
        """Say whether, alone in a reply, it proves that none of the call's `count` orders was placed.

        A server checks key, user and pace before it looks at any order. Credit may be used up order by order.
        """
        return self.kind in PROVES_NONE_PLACED and not (self.is_of_credit and count > 1)


class ReplyContent(Struct, frozen=True):
    """What stands in a reply, in the provider-neutral form that a provider's reader makes of it."""

    orders: tuple[NamedOrder, ...] = ()
    duplicates: tuple[str, ...] = ()
    errors: tuple[NamedError, ...] = ()
    error: WholeError | None = None


class AnomalyKind(StrEnum):
    """What in a reply does not fit to what was sent."""

    UNASKED_IMEI = "unasked_imei"  #: an IMEI that was not in the call
    SECOND_REFERENCE = "second_reference"  #: one IMEI with two references: perhaps charged twice
    SHARED_REFERENCE = "shared_reference"  #: one reference for two IMEIs
    CONTRADICTION = "contradiction"  #: one IMEI named in two ways
    NO_REFERENCE = "no_reference"  #: named as an order without an id
    NO_IMEI = "no_imei"  #: an order without its IMEI

    @property
    def sentence(self) -> str:
        """Say to a person what it means."""
        return _SENTENCES[self]


_SENTENCES = {
    AnomalyKind.UNASKED_IMEI: "a reply named an IMEI that was not in the call; nothing was taken over",
    AnomalyKind.SECOND_REFERENCE: "a reply gave one IMEI two references, perhaps both charged; the first was kept",
    AnomalyKind.SHARED_REFERENCE: "a reply gave several IMEIs one reference, so their results cannot be told apart",
    AnomalyKind.CONTRADICTION: "a reply named one IMEI in two ways; the one that may cost money was believed",
    AnomalyKind.NO_REFERENCE: "a reply named an order without a reference; it was not taken for placed",
    AnomalyKind.NO_IMEI: "a reply gave a reference without its IMEI; nothing was taken over",
}
_SAID = {
    AnomalyKind.UNASKED_IMEI: "{}, not asked for",
    AnomalyKind.SECOND_REFERENCE: "two references for {}",
    AnomalyKind.SHARED_REFERENCE: "reference {} for several IMEIs",
    AnomalyKind.CONTRADICTION: "{} in two ways",
    AnomalyKind.NO_REFERENCE: "{} without a reference",
    AnomalyKind.NO_IMEI: "reference {} without an IMEI",
}


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing in a reply that does not fit, with the value that shows it."""

    kind: AnomalyKind
    value: str


def say_anomalies(anomalies: Sequence[Anomaly], most: int = 2) -> str:
    """Say in a clause about a reply what in it does not fit, the first few in full; empty where all fits."""
    if not anomalies:
        return ""
    told = [_SAID[one.kind].format(one.value) for one in anomalies[:most]]
    more = f" and {len(anomalies) - most:,} more" if len(anomalies) > most else ""
    return f"it names {', '.join(told)}{more}"


class Finding(Struct, frozen=True):
    """What an attempt proves about one order."""

    outcome: Outcome
    reference: Reference | None = None
    status: ResultStatus | None = None
    kind: ErrorKind | None = None
    message: str = ""


class Account(Struct, frozen=True):
    """What an attempt proves: one finding for each IMEI sent, the error of the whole, what does not fit."""

    findings: dict[Imei, Finding]
    error: WholeError | None = None
    anomalies: tuple[Anomaly, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """Count the orders with `outcome`."""
        return [finding.outcome for finding in self.findings.values()].count(outcome)


def account_for_failure(sent: Sequence[Imei], ending: Ending, error: WholeError) -> Account:
    """Account for a call without a readable reply: not sent, refused unread, or in doubt."""
    match ending:
        case Ending.NOT_SENT:
            outcome = Outcome.UNSENT
        case Ending.REFUSED_UNREAD:
            outcome = Outcome.THROTTLED
        case Ending.IN_DOUBT:
            outcome = Outcome.UNCONFIRMED
        case Ending.ANSWERED:
            return account_for(sent, ReplyContent(error=error))
        case _:
            assert_never(ending)
    finding = Finding(outcome, kind=error.kind, message=error.message)
    return Account(dict.fromkeys(sent, finding), error)


def account_for(sent: Sequence[Imei], content: ReplyContent) -> Account:
    """Account for each of the IMEIs that were `sent` (distinct, one or more) by what the reply names.

    Named with a reference: accepted, whatever else is said of it. Named as a duplicate: duplicate. Named with an
    error: refused, or throttled where the error is of the account or the rate. Not named: unconfirmed. An error of
    the whole call decides only where it proves that nothing was placed, or where the call carried a single order.
    """
    plain = _account_for_plain(sent, content)
    if plain is not None:
        return plain
    asked = set(sent)
    anomalies: list[Anomaly] = []
    references = _collect_references(sent, content, asked, anomalies)
    duplicates = _collect_asked(content.duplicates, asked, anomalies)
    errors = _collect_errors(content.errors, anomalies)
    nameless = {order.imei for order in content.orders if not order.reference}
    _collect_asked([error.imei for error in content.errors if error.imei], asked, anomalies)
    rest = _finding_of_unnamed(len(sent), content)
    findings: dict[Imei, Finding] = {}
    for imei in sent:
        named = references.get(imei)
        error = errors.get(imei)
        if named is not None:
            findings[imei] = Finding(Outcome.ACCEPTED, Reference(named.reference), named.status)
            if imei in duplicates or error is not None:
                anomalies.append(Anomaly(AnomalyKind.CONTRADICTION, imei))
        elif imei in duplicates:
            findings[imei] = Finding(Outcome.DUPLICATE, message="ordered before")
            if error is not None:
                anomalies.append(Anomaly(AnomalyKind.CONTRADICTION, imei))
        elif error is not None and imei in nameless:
            findings[imei] = Finding(Outcome.UNCONFIRMED, kind=error.kind, message=error.message)
            anomalies.append(Anomaly(AnomalyKind.CONTRADICTION, imei))
        elif error is not None:
            findings[imei] = finding_of_error(error.kind, error.message)
        else:
            findings[imei] = rest
    return Account(findings, content.error, tuple(anomalies))


def _account_for_plain(sent: Sequence[Imei], content: ReplyContent) -> Account | None:
    """Account for a reply that only names orders, each once, each asked for, each with a reference of its own."""
    if content.duplicates or content.errors or content.error is not None:
        return None
    if len(sent) == len(content.orders) == 1:
        [only] = content.orders
        if only.imei != sent[0] or not only.reference:
            return None
        return Account({sent[0]: Finding(Outcome.ACCEPTED, Reference(only.reference), only.status)})
    named = {order.imei: order for order in content.orders}
    references = {order.reference for order in content.orders}
    if not len(references) == len(named) == len(content.orders) or "" in references:
        return None
    findings: dict[Imei, Finding] = {}
    for imei in sent:
        order = named.get(imei)
        if order is None:
            findings[imei] = _finding_of_unnamed(len(sent), content)
        else:
            findings[imei] = Finding(Outcome.ACCEPTED, Reference(order.reference), order.status)
    return Account(findings) if named.keys() <= findings.keys() else None


def finding_of_error(kind: ErrorKind, message: str) -> Finding:
    """Turn an error that is tied to one order into its finding."""
    match kind:
        case ErrorKind.ORDER | ErrorKind.SERVICE:
            outcome = Outcome.REFUSED if kind is ErrorKind.ORDER else Outcome.THROTTLED
        case ErrorKind.ACCOUNT | ErrorKind.RATE:
            outcome = Outcome.THROTTLED
        case ErrorKind.CHUNK | ErrorKind.OVERLOAD | ErrorKind.UNKNOWN:
            outcome = Outcome.UNCONFIRMED
        case _:
            assert_never(kind)
    return Finding(outcome, kind=kind, message=message)


def _finding_of_unnamed(count: int, content: ReplyContent) -> Finding:
    error = content.error
    if error is None:
        return Finding(Outcome.UNCONFIRMED, message="the reply does not name it")
    answered = bool(content.orders or content.duplicates or content.errors)
    if error.proves_none_placed(count) and not answered:
        return Finding(Outcome.THROTTLED, kind=error.kind, message=error.message)
    if count == 1 and not answered:
        if error.duplicate:
            return Finding(Outcome.DUPLICATE, message=error.message)
        return finding_of_error(error.kind, error.message)
    hint = _OF_WHICH if error.duplicate else _BEFORE_CREDIT_ENDED if error.is_of_credit else ""
    message = f"{error.message} ({hint})" if hint and count > 1 else error.message
    return Finding(Outcome.UNCONFIRMED, kind=error.kind, message=message)


def _collect_references(
    sent: Sequence[Imei], content: ReplyContent, asked: set[Imei], anomalies: list[Anomaly]
) -> dict[str, NamedOrder]:
    """Map each asked IMEI to the order that the reply names for it."""
    by_imei: dict[str, list[NamedOrder]] = defaultdict(list)
    for order in content.orders:
        if not order.reference:
            anomalies.append(Anomaly(AnomalyKind.NO_REFERENCE, order.imei))
        elif not order.imei and len(sent) == 1 and len(content.orders) == 1:
            by_imei[sent[0]].append(order)
        elif not order.imei:
            anomalies.append(Anomaly(AnomalyKind.NO_IMEI, order.reference))
        elif order.imei not in asked:
            anomalies.append(Anomaly(AnomalyKind.UNASKED_IMEI, f"{order.imei} as {order.reference}"))
        else:
            by_imei[order.imei].append(order)
    shared = Counter(order.reference for orders in by_imei.values() for order in orders[:1])
    anomalies.extend(Anomaly(AnomalyKind.SHARED_REFERENCE, ref) for ref, times in shared.items() if times > 1)
    for imei, orders in by_imei.items():
        anomalies.extend(
            Anomaly(AnomalyKind.SECOND_REFERENCE, f"{imei}: {orders[0].reference} and {extra.reference}")
            for extra in orders[1:]
            if extra.reference != orders[0].reference
        )
    return {imei: orders[0] for imei, orders in by_imei.items()}


def _collect_errors(errors: Sequence[NamedError], anomalies: list[Anomaly]) -> dict[str, NamedError]:
    """Map each IMEI to its error; of several that differ, the one that proves least counts."""
    kept: dict[str, NamedError] = {}
    for error in errors:
        before = kept.get(error.imei)
        if before is None:
            kept[error.imei] = error
        elif before.kind is not error.kind:
            anomalies.append(Anomaly(AnomalyKind.CONTRADICTION, error.imei))
            if finding_of_error(error.kind, "").outcome is Outcome.UNCONFIRMED:
                kept[error.imei] = error
    return kept


def _collect_asked(imeis: Sequence[str], asked: set[Imei], anomalies: list[Anomaly]) -> set[str]:
    anomalies.extend(Anomaly(AnomalyKind.UNASKED_IMEI, imei) for imei in imeis if imei not in asked)
    return {imei for imei in imeis if imei in asked}
