"""What the replies to read-only calls list: services, statuses, catalogues, credit. Reads documents, sends nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imeiflow.domain.ident import Reference, ServiceId
from imeiflow.domain.money import Money, read_money
from imeiflow.providers.contract import OrderStatus, Service
from imeiflow.providers.gsm_fusion.document import WRAPPER, local_name, read_name
from imeiflow.providers.gsm_fusion.record import Record, collect_records, normalise_imei, read_reference, read_status

if TYPE_CHECKING:
    from lxml.etree import _Element

_DATE_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d")
_NOT_ORDERS = frozenset({"error", "errors", "imeierrors", "imeiduplicates"})
_ITEM_NAMES = frozenset({"file", "server", "imeis"})
_UNIX_S = re.compile(r"1[0-9]{9}")


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One entry of a catalogue of brands, models, countries, networks or lookup services."""

    id: str
    name: str
    element: str  #: what the provider calls it, such as `Brand`
    group: str = ""  #: the name of the entry that it stands in


def read_services(root: _Element) -> tuple[Service, ...]:
    """Read `<Package>` records: `PackageId Category PackageTitle PackagePrice TimeTaken MustRead`."""
    return tuple(service for record in collect_records(root)[0] if (service := _read_service(record)) is not None)


def read_statuses(root: _Element) -> tuple[OrderStatus, ...]:
    """Read the records that carry an order's id, in whatever element they stand."""
    return tuple(status for record in collect_records(root)[0] if (status := _read_status(record)) is not None)


def read_orders(root: _Element) -> tuple[OrderStatus, ...]:
    """Read the orders in the reply to a placing call: ids in elements that are called so, or bare beside no error.

    Other things have ids as well: an error, the client, the service.
    """
    records, errors = collect_records(root, stop=_NOT_ORDERS)
    found = [
        (record, status)
        for record in records
        if "error" not in record.fields and (status := _read_status(record)) is not None
    ]
    named = [status for record, status in found if "order" in record.path[-1] or record.path[-1] in _ITEM_NAMES]
    bare = [status for record, status in found if len(set(record.path) - {WRAPPER}) == 1 and not errors]
    return tuple(named or bare)


def read_catalog(root: _Element) -> tuple[CatalogEntry, ...]:
    """Read every element that has an id and a name, with the name of the entry around it."""
    return tuple(_read_entries(root, ""))


def read_credit(root: _Element) -> tuple[Money, ...]:
    """Read the balance, a text such as `$ 150.00 USD` in an element whose name speaks of credits or balance."""
    for element in root.iter():
        if re.search(r"credit|balance", local_name(element)) and not len(element):
            money = read_money(element.text or "")
            if money is not None:
                return (money,)
    return ()


def read_requested_at(text: str) -> datetime | None:
    """Read a time leniently, as UTC where it names no zone; None where it could mean two days or none."""
    text = " ".join(text.split())
    if _UNIX_S.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    for form in (None, *_DATE_FORMATS):
        try:
            read_at = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)  # noqa: DTZ007
            return read_at.astimezone(UTC) if read_at.tzinfo else read_at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            continue
    return None


def _read_service(record: Record) -> Service | None:
    fields = record.fields
    service_id = fields.get("packageid", "").strip()
    if not service_id:
        return None
    price = read_money(fields.get("packageprice", ""))
    return Service(
        id=ServiceId(service_id),
        name=read_name(fields.get("packagetitle", ""), 500),
        category=read_name(fields.get("category", ""), 500),
        price=price if price is not None and price.amount >= 0 else None,
        delivery=read_name(fields.get("timetaken", ""), 500),
        note=read_name(fields.get("mustread", ""), 5000),
    )


def _read_status(record: Record) -> OrderStatus | None:
    fields = record.fields
    reference = read_reference(fields.get("id", "") or fields.get("orderid", ""))
    if not reference or not record.is_paired:
        return None
    requested = fields.get("requestedat", "")
    return OrderStatus(
        reference=Reference(reference),
        imei=normalise_imei(fields.get("imei", "")),
        service_name=read_name(fields.get("package", ""), 500),
        status=read_status(fields.get("status", ""), fields.get("statusid", "")),
        code=fields.get("code", ""),
        requested_at=read_requested_at(requested),
        requested_text=requested,
    )


def _read_entries(element: _Element, group: str) -> list[CatalogEntry]:
    own = {local_name(child): read_name(child.text or "", 500) for child in element if not len(child)}
    entry_id = next((text for name, text in own.items() if name.endswith("id") and text), "")
    name = next((text for field, text in own.items() if field.endswith(("name", "title")) and text), "")
    entries: list[CatalogEntry] = []
    if entry_id and name:
        entries.append(CatalogEntry(entry_id, name, str(element.tag).rpartition("}")[2], group))
    for child in element:
        if len(child):
            entries.extend(_read_entries(child, name or group))
    return entries
