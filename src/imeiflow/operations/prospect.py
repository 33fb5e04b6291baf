"""What going on with a job would do about its doubts: whether any may be sent again, and why none is. Reads only."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from imeiflow.domain.doubt import are_repeats_charged, explain_no_room, keep_lasting
from imeiflow.domain.money import Money
from imeiflow.domain.order import OrderState, Policy
from imeiflow.ledger.record import Job
from imeiflow.ledger.spending import SpendingFilter
from imeiflow.operations.session import Session


def explain_no_repeat(session: Session, job: Job) -> str:
    """Say why going on with a job would send none of its unconfirmed orders again; empty where it may send some.

    They are looked for in the provider's list of recent orders all the same. It begins with a small letter.
    """
    if job.policy is Policy.HOLD:
        return "they are held, as you asked"
    ledger, configuration = session.ledger, session.configuration
    seen = keep_lasting(ledger.repeat_evidence(job.account, job.service))
    lasts = timedelta(days=configuration.repeat_refusal_days)
    if are_repeats_charged(seen, session.clock.now(), lasts=lasts):
        return "repeats are charged here"
    return "" if seen else _explain_no_probe(session, job)


def _explain_no_probe(session: Session, job: Job) -> str:
    """Say why no order may be repeated to learn how repeats are treated, of which nothing is known."""
    account = session.configuration.accounts.get(job.account)
    price = job.price
    if price is None:
        return "the price is not known, so none is repeated to learn whether that is charged"
    lost = session.ledger.lost_probes(job.id)
    if account is not None and price.amount * (lost + 1) > account.repeat_probe_max_price:
        limit = Money(account.repeat_probe_max_price, price.currency)
        more = f", and up to {price * lost} more for {lost} whose reply was lost" if lost else ""
        return f"a repeat probe costs {price}{more}, more than repeat_probe_max_price ({limit}) allows"
    if job.max_spend is not None and _find_room(session, job, job.max_spend, price.amount) < price.amount:
        return explain_no_room(session.ledger.find_cap_limit(job.id))
    return ""


def _find_room(session: Session, job: Job, cap: Decimal, price: Decimal) -> Decimal:
    """Give what the cap leaves for a probe, as the engine counts it: what may have been charged is charged."""
    ledger = session.ledger
    at_risk = ledger.tally(job.id)[OrderState.UNCONFIRMED] + ledger.lost_probes(job.id)
    return cap - ledger.charged_as_agreed(SpendingFilter(jobs=[job.id])) - at_risk * price
