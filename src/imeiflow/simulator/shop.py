"""What each action of the protocol does: from the fields of a call to the body of its reply.

Pure apart from the book, which it alone writes; the clock's reading is passed in. It knows nothing of HTTP, of lost
replies or of limits on calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import NamedTuple

from imeiflow.simulator.behaviour import (
    BadImei,
    Behaviour,
    CreditCheck,
    Cut,
    ImeiCheck,
    Lockout,
    Repeat,
)
from imeiflow.simulator.book import Book, Entry, Life
from imeiflow.simulator.catalogue import (
    Offer,
    PriceChange,
    list_file_offers,
    list_offers,
    list_server_offers,
    reprice,
)
from imeiflow.simulator.delay import Delay
from imeiflow.simulator.reply import Placing, Writer
from imeiflow.simulator.result import make_share

DUPLICATE = "IMEI already exists!"
_LOCKOUTS = {
    Lockout.USER: "Invalid User!",
    Lockout.KEY: "Invalid API Key!",
    Lockout.INACTIVE: "This user is not active",
    Lockout.IP: "Invalid IP request![203.0.113.7]",
    Lockout.NOT_ALLOWED: "API access to you is not allowed!",
    Lockout.MAINTENANCE: "Website is in maintenance, please try again later",
    Lockout.CREDIT: "Credit has been finished!",
}
_DOUBLED = bytes(sum(divmod(2 * digit, 10)) for digit in range(10))


class Outcome(NamedTuple):
    """The body of a reply, and in one word why the call was refused as a whole, if it was."""

    body: bytes
    refused: str = ""


class _WholeError(Exception):
    """Ends the work on a call: everything after it is not done."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text


class Shop:
    """The actions of one account, as one behaviour wants them, on one book."""

    def __init__(self, behaviour: Behaviour, book: Book, random: Random, began_at: float = 0.0) -> None:
        self._began_at = began_at
        self._price_changes = tuple(PriceChange.parse(text) for text in behaviour.price_change)
        self._behaviour = behaviour
        self._book = book
        self._random = random
        self._writer = Writer(behaviour, random)
        self._pending = Delay.parse(behaviour.pending_for)
        self._process = Delay.parse(behaviour.process_for)
        lives_differ = not (self._pending.is_fixed and self._process.is_fixed) or behaviour.rejected_share > 0
        self._life = None if lives_differ else Life(self._pending.first, self._process.first)
        self._bad = frozenset(behaviour.bad_imeis)
        self._actions: dict[str, Callable[[Mapping[str, str], int, float], bytes]] = {
            "placeorder": self._place_order,
            "getimeis": self._get_imeis,
            "imeiservices": lambda _, __, now: self._write_offers(list_offers(), now),
            "fileservices": lambda _, __, now: self._write_offers(list_file_offers(), now),
            "serverservices": lambda _, __, now: self._write_offers(list_server_offers(), now),
            "placefileorder": self._place_file_order,
            "getfileorder": lambda fields, _, now: self._get_record("fileorder", list_file_offers(), fields, now),
            "placeserverorder": self._place_server_order,
            "getserverorder": lambda fields, _, now: self._get_record("serverorder", list_server_offers(), fields, now),
            "getmobiles": lambda *_: self._writer.write(_MOBILES),
            "getproviders": lambda *_: self._writer.write(_PROVIDERS),
            "getservices": lambda *_: self._writer.write(_SERVICES),
            "getservicedtls": lambda *_: self._writer.write(_SERVICE_DETAILS),
        }
        self._actions["getpackages"] = self._actions["imeiservices"]
        if behaviour.accountinfo:
            self._actions["accountinfo"] = self._get_account

    @property
    def writer(self) -> Writer:
        """Give the writer of its replies."""
        return self._writer

    def knows(self, action: str) -> bool:
        """Say whether there is such an action."""
        return action in self._actions

    def answer(self, fields: Mapping[str, str], call: int, now: float) -> Outcome:
        """Work on call number `call` at `now` and say what it came to."""
        try:
            self._check_account(fields, call)
            work = self._actions.get(fields.get("action", ""))
            if work is None:
                raise _WholeError("action", "Invalid Action")
            return Outcome(work(fields, call, now))
        except _WholeError as error:
            return Outcome(self._writer.write_error(error.text), error.reason)

    def _check_account(self, fields: Mapping[str, str], call: int) -> None:
        behaviour = self._behaviour
        if fields.get("userId") != behaviour.username:
            raise _WholeError("account", "Invalid User!")
        if fields.get("apiKey") != behaviour.api_key:
            raise _WholeError("account", behaviour.wrong_key_error)
        if behaviour.lockout is not Lockout.NONE and call >= behaviour.lockout_from:
            raise _WholeError("account", _LOCKOUTS[behaviour.lockout])

    def _write_offers(self, offers: Mapping[str, Offer], now: float) -> bytes:
        return self._writer.write_offers(self._offers_at(now, offers).values())

    def _offers_at(self, now: float, offers: Mapping[str, Offer]) -> Mapping[str, Offer]:
        return reprice(offers, self._price_changes, now - self._began_at) if self._price_changes else offers

    def _price(self, service: str, offers: Mapping[str, Offer], now: float) -> Decimal:
        offer = self._offers_at(now, offers).get(service)
        if service in self._behaviour.closed_services or (offer is None and not self._behaviour.any_service):
            raise _WholeError("service", "Invalid value of Network Id!")
        return offer.price if offer else self._behaviour.any_service_price

    def _place_order(self, fields: Mapping[str, str], call: int, now: float) -> bytes:
        behaviour = self._behaviour
        service = fields.get("networkId", "")
        price = self._price(service, list_offers(), now)
        order_id = fields.get("orderId", "") if behaviour.honour_order_id else ""
        known = self._book.orders_under(order_id)
        if known:
            return self._writer.write_placing(Placing(known), now)
        imeis = [imei.strip() for imei in fields.get("imei", "").split(",") if imei.strip()]
        if not imeis:
            raise _WholeError("imei", "Invalid IMEI!")
        if behaviour.chunk_max and len(imeis) > behaviour.chunk_max:
            raise _WholeError("chunk", behaviour.chunk_max_error)
        placing = self._place(imeis, service, price, call, now)
        if order_id:
            self._book.remember(order_id, placing.entries)
        if placing.duplicates and not placing.entries and not placing.errors:
            raise _WholeError("duplicate", DUPLICATE)
        return self._writer.write_placing(placing, now)

    def _place(self, imeis: Sequence[str], service: str, price: Decimal, call: int, now: float) -> Placing:
        """Sort the IMEIs of a call, look at the credit, place what is to be placed."""
        reported = self._cut(len(imeis))
        sorting = _Sorting()
        complaint = ""
        for position, imei in enumerate(imeis):
            is_reported = position in reported
            if not is_reported and not self._behaviour.cut_placed:
                continue
            if self._is_bad(imei):
                complaint = self._complain(imei, sorting, is_reported=is_reported)
                if complaint:
                    break
            elif self._is_duplicate(imei, service, now, sorting):
                if is_reported:
                    sorting.duplicates.append(imei)
            else:
                sorting.to_place.append((imei, is_reported))
                sorting.in_call.add(imei)
        entries = self._place_all(sorting, service, price, call, now)
        if complaint:
            raise _WholeError("imei", complaint)
        return Placing(entries, sorting.duplicates, sorting.errors)

    def _cut(self, count: int) -> range:
        """Say which positions of a call are worked on and reported."""
        limit = self._behaviour.chunk_limit
        if not limit or count <= limit:
            return range(count)
        return range(count - limit, count) if self._behaviour.chunk_cut is Cut.LAST else range(limit)

    def _complain(self, imei: str, sorting: _Sorting, *, is_reported: bool) -> str:
        """Note a bad IMEI; returns the error that ends the call, if this server ends it."""
        text = f"Invalid IMEI: {imei}"
        if self._behaviour.bad_imei is BadImei.EACH:
            if is_reported:
                sorting.errors.append((imei, text))
            return ""
        if self._behaviour.bad_imei is BadImei.WHOLE_BEFORE:
            sorting.to_place.clear()
        return text

    def _is_bad(self, imei: str) -> bool:
        behaviour = self._behaviour
        if behaviour.imei_check is not ImeiCheck.NONE and not _has_form(imei, behaviour.imei_check):
            return True
        if imei in self._bad:
            return True
        return behaviour.bad_share > 0 and make_share(behaviour.seed, "bad", imei) < behaviour.bad_share

    def _is_duplicate(self, imei: str, service: str, now: float, sorting: _Sorting) -> bool:
        if self._behaviour.repeats is Repeat.CHARGE:
            return False
        if imei in sorting.in_call:
            return True
        earlier = self._book.latest(imei, service)
        if earlier is None:
            return False
        return self._behaviour.repeats is Repeat.REFUSE or now < earlier.final_at

    def _place_all(self, sorting: _Sorting, service: str, price: Decimal, call: int, now: float) -> list[Entry]:
        behaviour = self._behaviour
        balance = self._book.balance(now)
        affordable = len(sorting.to_place)
        if price * affordable > balance:
            affordable = int(max(balance, Decimal(0)) // price)
            if behaviour.credit_check is CreditCheck.WHOLE or not affordable:
                raise _WholeError("credit", behaviour.credit_error)
        entries = []
        for imei, is_reported in sorting.to_place[:affordable]:
            entry = self._book.place(
                imei, service, price, now, life=self._make_life(imei), call=call, is_reported=is_reported
            )
            if is_reported:
                entries.append(entry)
        if behaviour.credit_check is CreditCheck.SILENT and affordable < len(sorting.to_place):
            raise _WholeError("credit", behaviour.credit_error)
        for imei, is_reported in sorting.to_place[affordable:]:
            if is_reported:
                sorting.errors.append((imei, behaviour.credit_error))
        return entries

    def _make_life(self, imei: str) -> Life:
        if self._life is not None:
            return self._life
        behaviour = self._behaviour
        share = behaviour.rejected_share
        return Life(
            self._pending.draw(self._random),
            self._process.draw(self._random),
            share > 0 and make_share(behaviour.seed, "rejected", imei) < share,
            behaviour.refund_rejected,
        )

    def _get_imeis(self, fields: Mapping[str, str], _: int, now: float) -> bytes:
        behaviour = self._behaviour
        references = [part.strip() for part in fields.get("orderIds", "").split(",") if part.strip()]
        entries: Sequence[Entry]
        if not references and behaviour.lists_recent:
            entries = self._book.recent(behaviour.lists_recent)
        else:
            if behaviour.status_limit and len(references) > behaviour.status_limit:
                if behaviour.status_limit_error:
                    raise _WholeError("chunk", "Too many order ids!")
                references = references[: behaviour.status_limit]
            found = (self._book.find(reference) for reference in references)
            entries = [entry for entry in found if entry is not None and not self._is_odd("unknown", entry)]
            if not entries:
                raise _WholeError("order", "Invalid Order ID")
            entries += self._book.slice(0, behaviour.status_extra)
            entries = [self._distort(entry, now) for entry in entries]
        return self._writer.write_statuses(entries, list_offers(), now)

    def _is_odd(self, purpose: str, entry: Entry) -> bool:
        """Say whether an order is one of those that getimeis shows otherwise than the book has them."""
        share: float = getattr(self._behaviour, f"status_{purpose}_share")
        return share > 0 and make_share(self._behaviour.seed, purpose, entry.imei) < share

    def _distort(self, entry: Entry, now: float) -> Entry:
        """Give an order as getimeis shows it."""
        if self._is_odd("foreign", entry):
            return entry._replace(imei=entry.imei[::-1])
        last_third = entry.final_at - entry.life.process / 3
        if self._is_odd("backwards", entry) and last_third <= now < entry.final_at:
            return entry._replace(life=entry.life._replace(pending=2.0**40))
        return entry

    def _place_file_order(self, fields: Mapping[str, str], call: int, now: float) -> bytes:
        name = fields.get("fileName", "")
        if not name or not fields.get("fileData"):
            raise _WholeError("file", "Invalid File!")
        entry = self._place_record(name, fields.get("networkId", ""), list_file_offers(), call, now)
        return self._writer.write_record("fileorder", entry, self._title(entry, list_file_offers()), now)

    def _place_server_order(self, fields: Mapping[str, str], call: int, now: float) -> bytes:
        text = ", ".join(f"{name}={value}" for name, value in fields.items() if name not in _OF_THE_CALL)
        entry = self._place_record(text, fields.get("serviceId", ""), list_server_offers(), call, now)
        return self._writer.write_record("order", entry, self._title(entry, list_server_offers()), now)

    def _place_record(self, text: str, service: str, offers: Mapping[str, Offer], call: int, now: float) -> Entry:
        sorting = _Sorting()
        sorting.to_place.append((text, True))
        [entry] = self._place_all(sorting, service, self._price(service, offers, now), call, now)
        return entry

    def _get_record(self, element: str, offers: Mapping[str, Offer], fields: Mapping[str, str], now: float) -> bytes:
        entry = self._book.find(fields.get("orderId", ""))
        if entry is None or entry.service not in offers:
            raise _WholeError("order", "Invalid Order ID")
        return self._writer.write_record(element, entry, self._title(entry, offers), now)

    def _title(self, entry: Entry, offers: Mapping[str, Offer]) -> str:
        offer = offers.get(entry.service)
        return offer.title if offer else f"Service {entry.service}"

    def _get_account(self, _: Mapping[str, str], __: int, now: float) -> bytes:
        credit = f"$ {self._book.balance(now):,.2f} USD"
        return self._writer.write(f"<Client><ClientCredits>{credit}</ClientCredits></Client>")


class _Sorting:
    """The IMEIs of one call, sorted by what becomes of them."""

    __slots__ = ("duplicates", "errors", "in_call", "to_place")

    def __init__(self) -> None:
        self.to_place: list[tuple[str, bool]] = []
        self.in_call: set[str] = set()
        self.duplicates: list[str] = []
        self.errors: list[tuple[str, str]] = []


def _has_form(imei: str, check: ImeiCheck) -> bool:
    """Check length and digits, and the check digit where it is looked at; the server judges by itself."""
    if len(imei) != 15 or not (imei.isascii() and imei.isdigit()):
        return False
    if check is ImeiCheck.LENGTH:
        return True
    digits = imei.encode().translate(_TO_VALUES)
    return (sum(digits[::2]) + sum(digits[1::2].translate(_TO_DOUBLED))) % 10 == 0


_OF_THE_CALL = frozenset({"apiKey", "userId", "action", "serviceId"})
_TO_VALUES = bytes((code - 48) % 256 for code in range(256))
_TO_DOUBLED = _DOUBLED + bytes(246)

_MOBILES = (
    "<Mobiles><Brand><ID>1</ID><Name>Apple</Name><Mobile><ID>11</ID><Name>iPhone 13</Name></Mobile></Brand>"
    "<Brand><ID>2</ID><Name>Samsung</Name><Mobile><ID>21</ID><Name>Galaxy S21</Name></Mobile></Brand></Mobiles>"
)
_PROVIDERS = (
    "<Networks><Country><ID>1</ID><Name>USA</Name><Network><ID>101</ID><Name>AT&amp;T</Name></Network>"
    "<Network><ID>102</ID><Name>T-Mobile</Name></Network></Country></Networks>"
)
_SERVICES = (
    "<Services><Service><ID>1</ID><Name>IMEI</Name></Service><Service><ID>2</ID><Name>File</Name></Service></Services>"
)
_SERVICE_DETAILS = (
    "<Services><Service><ID>1</ID><Name>IMEI</Name><Fields><Field>imei</Field><Field>networkId</Field></Fields>"
    "</Service></Services>"
)
