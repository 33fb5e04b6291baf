"""The services that the simulated server sells: 236 made-up ones, from $0.08 checks to $110 unlocks.

Pure. The list is the same in every run; id 1 is the cheapest check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from itertools import product

SERVICES = 236
PRICE_CHANGE_FORM = "SERVICE=AMOUNT@SECONDS since the start; `gone` for AMOUNT takes it off the list"

_PRICE_CHANGE = re.compile(r"\s*(\w+)\s*=\s*(gone|\d+(?:\.\d+)?)\s*@\s*(\d+(?:\.\d+)?)\s*")


@dataclass(frozen=True, slots=True)
class Offer:
    """One service of the price list."""

    id: str
    category: str
    title: str
    price: Decimal
    delivery: str
    note: str


@dataclass(frozen=True, slots=True)
class PriceChange:
    """From when on a service costs something else; None: it is sold no more."""

    service: str
    price: Decimal | None
    after_s: float

    @classmethod
    def parse(cls, text: str) -> PriceChange:
        """Read a change in the form of `PRICE_CHANGE_FORM`; ValueError for anything else."""
        match = _PRICE_CHANGE.fullmatch(text)
        if match is None:
            raise ValueError(PRICE_CHANGE_FORM)
        return cls(match[1], None if match[2] == "gone" else Decimal(match[2]), float(match[3]))


def reprice(offers: Mapping[str, Offer], changes: Sequence[PriceChange], age_s: float) -> Mapping[str, Offer]:
    """Give the offers of a server that has run for so long; of several changes of a service the last one holds."""
    due = sorted((change for change in changes if change.after_s <= age_s), key=lambda change: change.after_s)
    if not due:
        return offers
    changed = dict(offers)
    for change in due:
        if change.price is None:
            changed.pop(change.service, None)
        elif change.service in offers:
            changed[change.service] = replace(offers[change.service], price=change.price)
    return changed


_CHECKS = (
    ("Apple Basic Info", "0.08"),
    ("Apple Carrier & SimLock Check", "0.10"),
    ("Find My iPhone [ON/OFF]", "0.09"),
    ("GSMA Blacklist Status", "0.12"),
    ("Apple Sold By & Coverage", "1.45"),
    ("Samsung Info & KNOX", "0.15"),
)
_NETWORKS = (
    "AT&T USA",
    "T-Mobile USA",
    "Verizon USA",
    "Sprint USA",
    "Rogers/Fido Canada",
    "Bell & Virgin Canada",
    "Vodafone UK",
    "O2 UK",
    "EE/Orange UK",
    "Three UK & Ireland",
    "SFR France",
    "Orange España",
    "Movistar México",
    "Telcel México",
    "Claro Perú",
    "Optus Australia",
    "SoftBank Japan",
    "au KDDI Japan",
    "Telia Sweden",
    "Télénet België",
)
_GRADES = (("Clean", 0), ("Premium (All Models)", 12), ("Blacklisted", 27))
_MAKERS = (("iPhone", "18.50"), ("Samsung", "9.25"), ("Motorola", "4.40"), ("LG & Nokia", "2.99"))
_NOTES = (
    "",
    "No refund for wrong network.<br>Bulk welcome &amp; API open",
    "<b>Only clean IMEIs</b>, no financed & no lost",
)
_TIMES = ("1-5 Minutes", "Instant", "1-24 Hours", "1-3 Days", "3-10 Business Days")


@cache
def list_offers() -> dict[str, Offer]:
    """Give all services by id."""
    offers: list[Offer] = []
    for check, cost in _CHECKS:
        offers.append(Offer(str(len(offers) + 1), "IMEI Check Services", check, Decimal(cost), "Instant", _NOTES[0]))
    for (maker, base), network, (grade, extra) in product(_MAKERS, _NETWORKS, _GRADES):
        if len(offers) == SERVICES - 1:
            break
        number = len(offers) + 1
        price = Decimal(base) + extra + Decimal(number % 17) / 4
        title = f"{network} - {maker} {grade}"
        note = _NOTES[number % len(_NOTES)]
        offers.append(Offer(str(number), f"{maker} Unlock Services", title, price, _TIMES[number % len(_TIMES)], note))
    last = Offer(
        str(SERVICES), "iPhone Unlock Services", "Worldwide iPhone <Barred>", Decimal(110), _TIMES[4], _NOTES[2]
    )
    offers.append(last)
    return {offer.id: offer for offer in offers}


@cache
def list_file_offers() -> dict[str, Offer]:
    """Give the file services by id."""
    titles = (("BlackBerry Calculation by MEP File", "1.20"), ("Huawei Unlock by .ask File", "3.75"))
    return _number_offers(901, "File Services", titles)


@cache
def list_server_offers() -> dict[str, Offer]:
    """Give the server services by id."""
    titles = (
        ("Samsung FRP Tool - 1 Credit", "2.10"),
        ("iCloud Bypass Tool (Serial No.)", "24.00"),
        ("Log & Pay", "0.99"),
    )
    return _number_offers(951, "Server Services", titles)


def _number_offers(first: int, category: str, titles: tuple[tuple[str, str], ...]) -> dict[str, Offer]:
    return {
        str(number): Offer(str(number), category, title, Decimal(price), _TIMES[0], "")
        for number, (title, price) in enumerate(titles, first)
    }
