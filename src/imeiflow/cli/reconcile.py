"""`imeiflow settle --from-export`: what the provider's own export would change, shown, asked for, then done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imeiflow.cli.frame import confirm, name_user
from imeiflow.cli.output import count, print_json, say, tell
from imeiflow.domain.ident import JobId
from imeiflow.domain.order import JobState
from imeiflow.operations.json_object import describe_reconciliation
from imeiflow.operations.reconciliation import Reconciliation, reconcile, settle_by_export, settle_missing
from imeiflow.operations.reconciliation_view import tell_reconciliation
from imeiflow.operations.session import Session
from imeiflow.operations.time_zone import name_time_zone


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How an export is taken: complete for its time, only looked at, without being asked, as JSON."""

    is_complete: bool
    is_dry: bool
    is_sure: bool
    is_json: bool


def settle_from_export(session: Session, job: JobId, file: Path, how: Manner, *, zone: str | None, note: str) -> None:
    """Compare, show, ask, settle. Raises InputError, UsageError, JobStateError, GuardError."""
    at = None if zone is None else name_time_zone(zone)
    found = reconcile(session, job, file, zone=at, is_complete=how.is_complete)
    tell(tell_reconciliation(found, is_complete=how.is_complete), is_aside=how.is_json or not how.is_dry)
    if how.is_json and how.is_dry:
        print_json(describe_reconciliation(found))
    if how.is_dry:
        say("Nothing was changed.")
        return
    said = note or f"by the provider's export {file.name}"
    _settle(session, found, said, is_sure=how.is_sure)
    if how.is_complete and found.unnamed:
        _settle_missing(session, found, said, is_sure=how.is_sure)


def _settle(session: Session, found: Reconciliation, note: str, *, is_sure: bool) -> None:
    settled, updates = len(found.settled), len(found.updates)
    if not settled and not updates:
        say("The export settles nothing.")
        return
    what = f"Mark {count(settled, 'order')} as placed" if settled else "Store what it says"
    if updates:
        what += f" and store {count(updates, 'status', 'statuses')}" if settled else f" of {count(updates, 'order')}"
    if not confirm(f"{what}?", action="settling by the export", is_sure=is_sure):
        say("Nothing was changed.")
        return
    settle_by_export(session, found, note=note, actor=name_user())
    say(f"{count(settled, 'order')} marked as placed.")


def _settle_missing(session: Session, found: Reconciliation, note: str, *, is_sure: bool) -> None:
    plan = found.missing
    orders = count(len(plan.orders), "order")
    cost = f", for {plan.cost}" if plan.cost is not None else ""
    again = "not sent again: the job is cancelled" if plan.job.state is JobState.CANCELLED else f"ordered again{cost}"
    say(f"{orders} were sent within the time of the export, and no row names them: not placed, {again}.")
    say("If the export is not complete after all, whatever it leaves out is paid for twice.")
    if not confirm("Is the export complete?", action="taking the export for complete", is_sure=is_sure):
        say("They stay unconfirmed.")
        return
    settle_missing(session, found, note=f"{note}, which is complete", actor=name_user())
    say(f"{orders} marked as not placed.")
