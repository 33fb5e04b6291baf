"""What a server's JSON says, as the values that this program shows: jobs, lists, orders, services, spending.

What does not fit is a server of another version, and said so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from imeiflow.domain.ident import AccountName, JobId, ServiceId
from imeiflow.domain.imei import Flaw, Repair
from imeiflow.domain.money import Money
from imeiflow.domain.order import JobState, OrderState, ResultStatus
from imeiflow.domain.price_rise import PriceRise
from imeiflow.domain.progress import COUNTED, Summary, Tally
from imeiflow.domain.recurrence import Past
from imeiflow.domain.reply import AnomalyKind
from imeiflow.domain.status import StatusAnomalyKind
from imeiflow.intake.preview import Example, Group, Preview
from imeiflow.ledger.record import FoundOrder, Job, Learned, PricedService
from imeiflow.ledger.status_record import KeptAnomaly
from imeiflow.operations.catalogue import Credit, PriceList
from imeiflow.operations.earlier import Earlier, PastGroup
from imeiflow.operations.finding import Findings
from imeiflow.operations.job_detail import JobDetail, OddReply, ShownDoubt, ShownProbe, ShownReason
from imeiflow.operations.settlement import DoubtfulOrder
from imeiflow.operations.spending import Axis, Sum
from imeiflow.operations.status_tally import StatusTally
from imeiflow.operations.submit import Proposal
from imeiflow.operations.timeline import Happening
from imeiflow.remote.error import make_misfit

T = TypeVar("T")
P = ParamSpec("P")

_SINGLE: Final = tuple(name for name in COUNTED if name != "queued")


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job in a list."""

    summary: Summary
    name: str
    created_at: datetime
    unit_price: Decimal | None


def read_as(value: Any, kind: type[T]) -> T:
    """Read a value as a kind of ours. Raises RemoteError."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise make_misfit(str(error)) from None


def fitting(read: Callable[P, T]) -> Callable[P, T]:
    """Have a reader say of what does not fit, whatever it is, that it does not. Raises RemoteError."""

    @wraps(read)
    def read_fitting(*told: P.args, **more: P.kwargs) -> T:
        try:
            return read(*told, **more)
        except KeyError as error:
            raise make_misfit(f"it has no `{error.args[0]}`") from None
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise make_misfit(str(error)) from None

    return read_fitting


@fitting
def read_summary(told: Mapping[str, Any]) -> Summary:
    """Read a job's summary."""
    sending = int(told["sending"])
    counts = {OrderState(name): int(told[name]) for name in _SINGLE}
    counts |= {OrderState.QUEUED: int(told["queued"]) - sending, OrderState.SENDING: sending}

    def money(name: str) -> Money | None:
        return None if told[name] is None else Money(Decimal(told[name]), told["currency"])

    return Summary(
        job=JobId(int(told["job"])),
        state=JobState(told["state"]),
        tally=Tally({state: number for state, number in counts.items() if number}),
        attempts=int(told["attempts"]),
        spent=money("spent"),
        seconds=float(told["seconds"]),
        reason=told["reason"],
        refunded=money("refunded"),
        in_doubt=money("in_doubt"),
        probed=money("probed"),
        price_rise=_read_rise(told.get("price_rise"), told["currency"]),
    )


def _read_rise(told: Mapping[str, Any] | None, currency: str) -> PriceRise | None:
    """Read a price that rose unseen; a server of an older version tells none."""
    if told is None:
        return None
    more = told["more"]
    return PriceRise(
        before=Money(Decimal(told["before"]), currency),
        after=Money(Decimal(told["after"]), currency),
        since=read_as(told["since"], datetime),
        until=read_as(told["until"], datetime),
        orders=int(told["orders"]),
        more=None if more is None else Money(Decimal(more), currency),
    )


@fitting
def read_listed(told: Mapping[str, Any]) -> ListedJob:
    """Read a job of a list."""
    price = told["unit_price"]
    return ListedJob(
        read_summary(told),
        str(told["name"]),
        read_as(told["created_at"], datetime),
        None if price is None else Decimal(price),
    )


@fitting
def read_detail(told: Mapping[str, Any]) -> JobDetail:
    """Read all about a job."""
    summary, job = read_summary(told), _read_job(told)
    statuses = dict(told["statuses"])
    counts: dict[ResultStatus | None, int] = {status: statuses[status.value] for status in ResultStatus}
    counts[None] = statuses["unheard"]
    probe = told["dear_probe"]
    account = {"account": job.account, "job": job.id}
    return JobDetail(
        job=job,
        summary=summary,
        reasons=read_as(told["reasons"], tuple[ShownReason, ...]),
        doubts=read_as(told["doubts"], tuple[ShownDoubt, ...]),
        probes=read_as(told["probes"], tuple[ShownProbe, ...]),
        statuses=StatusTally(
            counts={status: number for status, number in counts.items() if number},
            open=statuses["open"],
            unknown=statuses["unknown"],
            unusable=statuses["unusable"],
        ),
        anomaly_counts={StatusAnomalyKind(kind): number for kind, number in told["status_anomaly_counts"].items()},
        anomalies=read_as([{**one, **account} for one in told["status_anomalies"]], tuple[KeptAnomaly, ...]),
        odd_counts={AnomalyKind(kind): number for kind, number in told["reply_anomaly_counts"].items()},
        odd_replies=read_as(
            [{name: one[name] for name in ("attempt", "at", "kind", "value")} for one in told["reply_anomalies"]],
            tuple[OddReply, ...],
        ),
        limits=tuple(_read_learned(one, job.account) for one in told["limits"]),
        dear_probe=None if probe is None else Money(Decimal(probe), job.currency),
        no_repeat=str(told["no_repeat"]),
        findings=None if told["findings"] is None else read_as(told["findings"], Findings),
    )


def _read_job(told: Mapping[str, Any]) -> Job:
    named = {**told, "id": told["job"], "unit_price": told["price"], "worked_s": told["seconds"], "columns": None}
    return read_as(named, Job)


@fitting
def read_proposal(told: Mapping[str, Any]) -> Proposal:
    """Read what a list would order and cost."""
    currency = str(told["currency"])

    def money(name: str) -> Money | None:
        return None if told[name] is None else Money(Decimal(told[name]), currency)

    account, service = AccountName(told["account"]), ServiceId(told["service"])
    prices = PriceList(
        account=account,
        services=(),
        is_fresh=bool(told["price_is_fresh"]),
        as_of=read_as(told["price_as_of"], datetime | None),  # type: ignore[arg-type]
        problem=str(told["price_problem"]),
    )
    return Proposal(
        source=str(told["source"]),
        notes=tuple(map(str, told["notes"])),
        account=account,
        service=service,
        service_name=str(told["service_name"]),
        price=money("price"),
        prices=prices,
        credit=Credit(
            account=account,
            balance=money("balance"),
            problem=str(told["balance_problem"]),
            asked_at=read_as(told["balance_as_of"], datetime | None),  # type: ignore[arg-type]
            outstanding=None if told["outstanding"] is None else Decimal(told["outstanding"]),
        ),
        preview=_read_preview(told),
        earlier=_read_earlier(told["ordered_before"]),
        max_spend=None if told["max_spend"] is None else Decimal(told["max_spend"]),
        probe_up_to=None if told["probe_up_to"] is None else Decimal(told["probe_up_to"]),
    )


def _read_preview(told: Mapping[str, Any]) -> Preview:
    names = ("total", "valid", "skipped", "repaired", "invalid")
    return Preview(
        **{name: int(told[name]) for name in names},
        repairs={Repair(one["repair"]): _read_group(one) for one in told["repairs"]},
        flaws={Flaw(one["flaw"]): _read_group(one) for one in told["flaws"]},
        repetitions=_read_group(told["repetitions"]),
    )


def _read_group(told: Mapping[str, Any]) -> Group:
    return Group(int(told["count"]), read_as(told["examples"], list[Example]))


def _read_earlier(told: Mapping[str, Any]) -> Earlier:
    groups = {
        Past(one["past"]): PastGroup(
            int(one["count"]),
            {JobId(each["job"]): int(each["count"]) for each in one["jobs"]},
            read_as(one["first_at"], datetime | None),  # type: ignore[arg-type]
            read_as(one["last_at"], datetime | None),  # type: ignore[arg-type]
            read_as(one["examples"], list[Example]),
        )
        for one in told["groups"]
    }
    return Earlier(again=bool(told["again"]), groups=groups)


@fitting
def read_order(told: Mapping[str, Any]) -> FoundOrder:
    """Read an order of a search."""
    return read_as(told, FoundOrder)


@fitting
def read_timeline(told: Any) -> list[Happening]:
    """Read what happened to an order."""
    return read_as(told, list[Happening])


@fitting
def read_service(told: Mapping[str, Any], seen_at: datetime | None = None) -> PricedService:
    """Read a service of a price list."""
    price = told["price"]
    return PricedService(
        id=ServiceId(told["id"]),
        name=str(told["name"]),
        category=str(told["category"]),
        price=None if price is None else Money(Decimal(price), str(told["currency"])),
        delivery=str(told["delivery"]),
        note=str(told["note"]),
        **({} if seen_at is None else {"seen_at": seen_at}),
    )


@fitting
def read_learned(told: Mapping[str, Any]) -> list[Learned]:
    """Read what was learned about an account's limits."""
    return [_read_learned(one, told["name"]) for one in told["learned"]]


def _read_learned(told: Mapping[str, Any], account: str) -> Learned:
    value = _as_floats(told["value"])
    of_service = {"service": told["service"] or "", "service_name": told.get("service_name") or ""}
    return read_as({**told, **of_service, "account": account, "value": value}, Learned)


def _as_floats(value: Any) -> Any:
    """Give numbers as they are learned: they are no money."""
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {key: _as_floats(one) for key, one in value.items()}
        case list():
            return [_as_floats(one) for one in value]
        case _:
            return value


@fitting
def read_sum(told: Mapping[str, Any], by: Axis) -> Sum:
    """Read what was spent on something."""
    amounts = {name: Decimal(told[name]) for name in ("spent", "refunded", "in_doubt")}
    return Sum(
        key=str(told[by.value]),
        name=str(told["name"]),
        currency=str(told["currency"]),
        orders=int(told["orders"]),
        unpriced=int(told["unpriced"]),
        **amounts,
    )


@fitting
def read_doubt(told: Mapping[str, Any]) -> DoubtfulOrder:
    """Read an unconfirmed order with its evidence."""
    return read_as(told, DoubtfulOrder)
