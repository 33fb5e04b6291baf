"""`imeiflow settle --server`: unconfirmed orders of a server with their evidence, and the user's word about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from imeiflow.cli.frame import confirm
from imeiflow.cli.output import count, print_json, say, tell
from imeiflow.cli.reconcile import Manner
from imeiflow.cli.remote.following import find_detail
from imeiflow.cli.remote.submit import check_file
from imeiflow.cli.settling import Which, Word, read_reference
from imeiflow.domain.ident import JobId
from imeiflow.domain.money import Money
from imeiflow.domain.progress import Summary
from imeiflow.operations.settlement import DoubtfulOrder, Doubts
from imeiflow.remote.client import Client, page_size
from imeiflow.remote.reading import read_doubt
from imeiflow.remote.upload import make_form
from imeiflow.remote.wire import Request


class RemoteDesk:
    """Settles at a server."""

    def __init__(self, client: Client, job: JobId) -> None:
        self.job = job
        self._client = client

    def list_doubts(self) -> Iterator[DoubtfulOrder]:
        """Give the unconfirmed orders with their evidence."""

        def ask_page(cursor: Any) -> Any:
            return self._client.get(f"/jobs/{self.job}/doubts", limit=page_size(0), cursor=cursor)

        yield from map(read_doubt, self._client.pages("orders", ask_page))

    def sum_up_doubts(self, most: int) -> Doubts:
        """Sum them up, the first `most` in full."""
        summed = Doubts()
        for one in self.list_doubts():
            summed.calls.setdefault(one.attempt, one)
            if len(summed.orders) < most:
                summed.orders.append(one)
            summed.counts[one.attempt] += 1
            summed.total += 1
        return summed

    def find_summary(self) -> Summary:
        """Give how the job stands."""
        return find_detail(self._client, self.job).summary

    def take_word(self, which: Which, placed: str | None, note: str) -> Word:
        """Take the user's word about some orders."""
        reference = read_reference(placed)
        body: dict[str, Any] = {
            "outcome": "not_placed" if placed is None else "placed",
            **_name_orders(which),
            "note": note,
            **({} if reference is None else {"reference": reference}),
        }

        def send(**more: Any) -> Any:
            return self._client.act(f"/jobs/{self.job}/settlements", {**body, **more})

        told, job = send(dry_run=True), find_detail(self._client, self.job).job
        return Word(
            job=job,
            number=int(told["settled"]),
            cost=None if told["cost"] is None else Money(Decimal(told["cost"]), job.currency),
            is_placed=placed is not None,
            reference=reference,
            give=lambda: send(last_attempt=told["last_attempt"]),
        )

    def settle_by_export(self, file: Path, how: Manner, *, zone: str | None, note: str) -> None:
        """Have the provider's export compared, show it, ask, settle."""
        path = file.expanduser()
        check_file(path)

        def send(*, is_dry: bool, is_complete: bool) -> Any:
            fields = {"timezone": zone, "complete": is_complete, "dry_run": is_dry, "note": note}
            form = make_form(path, path.name, fields)
            place = f"/jobs/{self.job}/settlements/export"
            request = Request(method="POST", path=place, parts=form, size=form.size, media_type=form.media_type)
            return self._client.send(request)

        told = send(is_dry=True, is_complete=how.is_complete)
        tell(told["told"], is_aside=how.is_json or not how.is_dry)
        found = told["found"]
        if how.is_dry:
            if how.is_json:
                print_json(found)
            say("Nothing was changed.")
            return
        if _agree(found, is_sure=how.is_sure):
            send(is_dry=False, is_complete=False)
            say(f"{count(found['placed'], 'order')} marked as placed.")
        if how.is_complete and found["not_named_within"] and _agree_missing(found, is_sure=how.is_sure):
            settled = send(is_dry=False, is_complete=True)["not_placed"]
            say(f"{count(settled, 'order')} marked as not placed.")


def _name_orders(which: Which) -> dict[str, Any]:
    if which.rows is not None:
        return {"lines": list(which.rows)}
    return {"imeis": "all" if which.imeis is None else list(which.imeis)}


def _agree(found: Mapping[str, Any], *, is_sure: bool) -> bool:
    settled, updates = found["placed"], found["statuses"]
    if not settled and not updates:
        say("The export settles nothing.")
        return False
    what = f"Mark {count(settled, 'order')} as placed" if settled else "Store what it says"
    if updates:
        what += f" and store {count(updates, 'status', 'statuses')}" if settled else f" of {count(updates, 'order')}"
    if confirm(f"{what}?", action="settling by the export", is_sure=is_sure):
        return True
    say("Nothing was changed.")
    return False


def _agree_missing(found: Mapping[str, Any], *, is_sure: bool) -> bool:
    orders, cost = count(found["not_named_within"], "order"), found["not_named_within_cost"]
    told = f", for {Money(Decimal(cost), found['currency'])}" if cost is not None else ""
    again = "not sent again: the job is cancelled" if found["job_state"] == "cancelled" else f"ordered again{told}"
    say(f"{orders} were sent within the time of the export, and no row names them: not placed, {again}.")
    say("If the export is not complete after all, whatever it leaves out is paid for twice.")
    if confirm("Is the export complete?", action="taking the export for complete", is_sure=is_sure):
        return True
    say("They stay unconfirmed.")
    return False
