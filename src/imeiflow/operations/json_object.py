"""Objects as `--json` prints them and the API sends them: lists, services, accounts, spending; jobs are `job_detail`'s.

The same words and values everywhere. Reads only; no key is in any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from imeiflow.ledger.record import Learned, PricedService

if TYPE_CHECKING:  # a command pays only for what it does
    from imeiflow.operations.account import AccountSettings
    from imeiflow.operations.catalogue import Credit
    from imeiflow.operations.reconciliation import Reconciliation
    from imeiflow.operations.spending import Axis, Sum
    from imeiflow.operations.statement import ExportedOrder
    from imeiflow.operations.submit import Proposal

#: What may be shown of an account's settings: never the key.
SHOWN_SETTINGS: Final = (
    "provider",
    "base_url",
    "username",
    "insecure",
    "ca_file",
    "max_concurrency",
    "rate_per_min",
    "repeat_probe_max_price",
    "currency",
)
_LISTED_ROWS: Final = 1000  #: the most orders of a kind


def describe_proposal(proposal: Proposal) -> dict[str, object]:
    """Give what `--dry-run --json` prints."""
    price, balance, cost = proposal.price, proposal.credit.balance, proposal.cost
    probe_limit = proposal.probe_limit
    currency = next((one.currency for one in (price, balance) if one is not None and one.currency), "")
    return {
        "source": proposal.source,
        "notes": proposal.notes,
        "account": proposal.account,
        "service": proposal.service,
        "service_name": proposal.service_name,
        "price": None if price is None else price.amount,
        "price_is_fresh": proposal.prices.is_fresh,
        "price_as_of": proposal.prices.as_of,
        "price_problem": proposal.prices.problem,
        "cost": None if cost is None else cost.amount,
        "probe_up_to": None if probe_limit is None else probe_limit.amount,
        "balance": None if balance is None else balance.amount,
        "balance_problem": proposal.credit.problem,
        "balance_as_of": proposal.credit.asked_at,
        "outstanding": proposal.credit.outstanding,
        "currency": currency,
        "max_spend": proposal.max_spend,
        **proposal.preview.as_dict(),
        "ordered_before": proposal.earlier.as_dict(),
    }


def describe_service(service: PricedService) -> dict[str, object]:
    """Give what `services --json` prints."""
    return {
        "id": service.id,
        "name": service.name,
        "category": service.category,
        "price": None if service.price is None else service.price.amount,
        "currency": "" if service.price is None else service.price.currency,
        "delivery": service.delivery,
        "note": service.note,
    }


def describe_account(
    chosen: AccountSettings, credit: Credit, learned: Sequence[Learned], in_use_by: str | None
) -> dict[str, object]:
    """Give what `account --json` prints: never the key."""
    return {
        "name": chosen.name,
        **{name: read_shown_setting(chosen, name) for name in SHOWN_SETTINGS},
        "key_from": name_key_place(chosen),
        "credit": None if credit.balance is None else credit.balance.amount,
        "credit_currency": None if credit.balance is None else credit.balance.currency,
        "credit_problem": credit.problem or None,
        "credit_as_of": credit.asked_at,
        "in_use_by": in_use_by,
        "learned": [
            {
                "service": one.service or None,
                "service_name": one.service_name or None,
                "kind": one.kind,
                "value": one.value,
                "reason": one.reason,
                "learned_at": one.learned_at,
                "pinned": one.pinned,
            }
            for one in learned
        ],
    }


def read_shown_setting(chosen: AccountSettings, name: str) -> object:
    """Give a setting as it may be shown: people paste addresses with a password or a key in them."""
    value: object = getattr(chosen, name)
    if name != "base_url":
        return value
    parts = urlsplit(chosen.base_url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def name_key_place(chosen: AccountSettings) -> str:
    """Say where an account's key stands."""
    if chosen.key_env is not None:
        return f"the variable {chosen.key_env}"
    return f"the file {chosen.key_file}" if chosen.key_file is not None else "the settings"


def describe_sum(one: Sum, by: Axis) -> dict[str, object]:
    """Give what `spending --json` prints."""
    return {
        by.value: one.key,
        "name": one.name,
        "currency": one.currency,
        "orders": one.orders,
        "spent": one.spent,
        "refunded": one.refunded,
        "in_doubt": one.in_doubt,
        "unpriced": one.unpriced,
    }


def describe_reconciliation(found: Reconciliation) -> dict[str, object]:
    """Give what `--dry-run --json` prints: counts, and the first orders of each kind."""
    return {
        "job": found.plan.job.id,
        "rows": found.statement.total,
        "unreadable": found.statement.unreadable,
        "notes": found.statement.notes,
        "time_zone": None if found.clock is None else found.clock.describe(),
        "unconfirmed": len(found.plan.orders),
        "placed": len(found.settled),
        "obscure": len(found.obscure),
        "not_named": len(found.plan.orders) - len(found.settled) - len(found.obscure),
        "not_named_within": len(found.unnamed),
        "not_named_held": {why.value: number for why, number in found.held.most_common()},
        "not_named_within_cost": found.missing.cost and found.missing.cost.amount,
        "currency": found.plan.job.currency,
        "job_state": found.plan.job.state,
        "statuses": len(found.updates),
        "unknown": len(found.unknown),
        "unclear": len(found.unclear),
        "price_differs": len(found.dearer),
        "absent": len(found.absent),
        "placed_orders": [_describe_row(row) for row in list(found.settled.values())[:_LISTED_ROWS]],
        "obscure_orders": [{"imei": order.imei, "why": why.value} for order, why in found.obscure[:_LISTED_ROWS]],
        "unknown_orders": [_describe_row(row) for row in found.unknown[:_LISTED_ROWS]],
        "unclear_orders": [_describe_row(row) for row in found.unclear[:_LISTED_ROWS]],
        "price_differences": [
            {
                "imei": one.order.imei,
                "job": one.order.job,
                "recorded": one.order.price,
                "exported": one.row.price and one.row.price.amount,
                "line": one.row.line,
            }
            for one in found.dearer[:_LISTED_ROWS]
        ],
        "absent_orders": [
            {
                "imei": one.imei,
                "job": one.job,
                "service": one.service,
                "reference": one.reference,
                "price": one.price,
                "at": one.began_at,
            }
            for one in found.absent[:_LISTED_ROWS]
        ],
    }


def _describe_row(row: ExportedOrder) -> dict[str, object]:
    at = next(iter(row.moments.values()), None)
    return {
        "line": row.line,
        "imei": row.imei,
        "service": row.service,
        "price": row.price and row.price.amount,
        "status": row.status and row.status.value,
        "at": at,
    }
