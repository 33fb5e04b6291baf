"""Everything a simulated server can be told to do, as one frozen value with a default and a sentence an option.

The command line makes its options from `OPTIONS`; a running server takes changes as JSON. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from imeiflow.errors import ConfigurationError
from imeiflow.simulator import delay, fault, limiter
from imeiflow.simulator.answer import Refusal
from imeiflow.simulator.catalogue import PRICE_CHANGE_FORM, PriceChange
from imeiflow.simulator.delay import Delay
from imeiflow.simulator.fault import Fault
from imeiflow.simulator.limiter import Rate, RateKind
from imeiflow.simulator.option import Option, check_range, read_option, to_json


class Cut(StrEnum):
    """Which IMEIs of a call that is too large are worked on."""

    LAST = "last"
    FIRST = "first"


class BadImei(StrEnum):
    """What a bad IMEI does to its call."""

    EACH = "each"  #: an error of its own; the others are placed
    WHOLE_AFTER = "whole-after"  #: one error for the call, after placing those before it
    WHOLE_BEFORE = "whole-before"  #: one error for the call, nothing is placed


class ImeiCheck(StrEnum):
    """How the server checks IMEIs."""

    LUHN = "luhn"
    LENGTH = "length"
    NONE = "none"


class Repeat(StrEnum):
    """What becomes of an IMEI that was ordered before under the same service."""

    REFUSE = "refuse"  #: a duplicate, free
    REFUSE_OPEN = "refuse-open"  #: a duplicate while the earlier order is not final, then charged
    CHARGE = "charge"  #: a new order, charged


class CreditCheck(StrEnum):
    """When the credit does not suffice for a call."""

    WHOLE = "whole"  #: nothing of it is placed
    EACH = "each"  #: placed until the credit runs out; each of the others gets the error
    SILENT = "silent"  #: placed and charged until the credit runs out; then the error alone, and none is named


class Lockout(StrEnum):
    """An error of the account that the server gives whoever calls."""

    NONE = "none"
    USER = "user"
    KEY = "key"
    INACTIVE = "inactive"
    IP = "ip"
    NOT_ALLOWED = "not-allowed"
    MAINTENANCE = "maintenance"
    CREDIT = "credit"


class PlacedAt(StrEnum):
    """When, during the latency of a call, its orders are placed."""

    START = "start"
    END = "end"


class StatusStyle(StrEnum):
    """How `status` is written; `statusId` is always the number."""

    WORDS = "words"
    NUMBERS = "numbers"


class ResultLayout(StrEnum):
    """How the pairs of a result are laid out."""

    BR = "br"
    DASH = "dash"
    NEWLINE = "newline"
    SPACE = "space"
    HTML = "html"  #: tags and entities
    CODE = "code"  #: an unlock code
    SENTENCE = "sentence"
    MIXED = "mixed"  #: each IMEI has one of them


class ReplyLayout(StrEnum):
    """How the orders of a reply are laid out."""

    REPEATED = "repeated"  #: an `<imeis>` element an order
    NESTED = "nested"  #: one `<imeis>` with an `<imei>` element an order


class Declaration(StrEnum):
    """What stands at the head of a reply."""

    GOOD = "good"
    PHPXML = "phpxml"  #: `<?phpxml version="1.0" encoding="utf-8"?>`, as observed
    NONE = "none"


def _about(group: str, says: str) -> dict[str, str]:
    return {"group": group, "says": says}


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What a simulated server does. The defaults are a fast and faultless server that refuses repeats.

    Raises ConfigurationError, naming the option and its accepted form, for a value that makes no sense.
    """

    seed: int = field(
        default=0, metadata=_about("general", "makes every random choice repeatable, given the order of arrival")
    )
    api_key: str = field(default="simulated-key", metadata=_about("general", "the key that is accepted"))
    username: str = field(default="simulated", metadata=_about("general", "the user that is accepted"))
    log_calls: bool = field(
        default=False, metadata=_about("general", "keep a line for every call, for GET /simulator/calls")
    )

    latency: str = field(default="0", metadata=_about("latency", f"of a placing call: {delay.FORM}"))
    latency_per_imei: float = field(
        default=0.0, metadata=_about("latency", "seconds added for each IMEI of a placing call")
    )
    read_latency: str = field(default="0", metadata=_about("latency", "of every other call"))
    refusal_latency: str = field(
        default="0", metadata=_about("latency", "of a call that is turned away by rate, ban or capacity")
    )
    placed_at: PlacedAt = field(
        default=PlacedAt.START, metadata=_about("latency", "when during its latency a call places its orders")
    )

    chunk_limit: int = field(default=0, metadata=_about("chunk", "cut calls silently at so many IMEIs; 0 never"))
    chunk_cut: Cut = field(default=Cut.FIRST, metadata=_about("chunk", "which IMEIs of a cut call remain"))
    cut_placed: bool = field(
        default=False, metadata=_about("chunk", "place and charge the IMEIs that were cut off, and do not report them")
    )
    chunk_max: int = field(default=0, metadata=_about("chunk", "refuse calls of more IMEIs with one error; 0 never"))
    chunk_max_error: str = field(
        default="Maximum IMEI limit exceeded!", metadata=_about("chunk", "the text of that error")
    )

    imei_check: ImeiCheck = field(default=ImeiCheck.LUHN, metadata=_about("imei", "how IMEIs are checked"))
    bad_imei: BadImei = field(default=BadImei.EACH, metadata=_about("imei", "what a bad IMEI does to its call"))
    bad_imeis: tuple[str, ...] = field(
        default=(), metadata=_about("imei", "IMEIs that this server finds bad, beside its check")
    )
    bad_share: float = field(
        default=0.0, metadata=_about("imei", "share of good IMEIs that this server finds bad, always the same ones")
    )

    faults: tuple[str, ...] = field(default=(), metadata=_about("faults", f"lost replies: {fault.FORM}"))
    fault_actions: tuple[str, ...] = field(
        default=("placeorder",), metadata=_about("faults", "actions whose replies get lost; `all`")
    )

    repeats: Repeat = field(
        default=Repeat.REFUSE,
        metadata=_about("repeats", "what becomes of an IMEI ordered before under the same service"),
    )
    honour_order_id: bool = field(
        default=False, metadata=_about("repeats", "the same orderId field again returns the orders of its first call")
    )

    rate: str = field(default="", metadata=_about("rate", limiter.RATE_FORM))
    rate_kind: RateKind = field(default=RateKind.SLIDING, metadata=_about("rate", "how the rate is counted"))
    rate_burst: int = field(default=0, metadata=_about("rate", "size of a token bucket; 0 is as large as the rate"))
    rate_refusal: Refusal = field(
        default=Refusal.PLAIN_429, metadata=_about("rate", "how it is said that the rate is exceeded")
    )
    rate_actions: tuple[str, ...] = field(
        default=("all",), metadata=_about("rate", "actions that the rate and the ban are about; `all`")
    )
    rate_counts_refused: bool = field(
        default=False, metadata=_about("rate", "refused calls count against the rate as well")
    )
    ban_after: int = field(default=0, metadata=_about("rate", "ban after so many refused calls; 0 never"))
    ban_within: float = field(default=60.0, metadata=_about("rate", "seconds within which they must fall"))
    ban_lasts: float = field(default=60.0, metadata=_about("rate", "seconds that a ban lasts"))
    ban_extends: bool = field(default=False, metadata=_about("rate", "a call during a ban starts the ban anew"))
    ban_refusal: Refusal = field(
        default=Refusal.CLOUDFLARE_403, metadata=_about("rate", "how a banned call is answered")
    )

    capacity: int = field(default=0, metadata=_about("capacity", "calls worked on at once; 0 is any number"))
    capacity_queues: bool = field(
        default=True, metadata=_about("capacity", "calls above it wait in the order in which they came")
    )
    capacity_queue: int = field(default=0, metadata=_about("capacity", "the most that wait; 0 is any number"))
    capacity_refusal: Refusal = field(
        default=Refusal.PLAIN_503, metadata=_about("capacity", "how a call is refused that cannot wait")
    )

    credit: Decimal = field(default=Decimal(10_000_000), metadata=_about("account", "balance at the start"))
    credit_check: CreditCheck = field(
        default=CreditCheck.WHOLE, metadata=_about("account", "what a call gets that the credit is too small for")
    )
    credit_error: str = field(default="Credit has been finished!", metadata=_about("account", "the text of that error"))
    wrong_key_error: str = field(
        default="Invalid User!", metadata=_about("account", "the text for a wrong key; live servers blame the user")
    )
    lockout: Lockout = field(
        default=Lockout.NONE, metadata=_about("account", "an error of the account that every call gets")
    )
    lockout_from: int = field(default=1, metadata=_about("account", "number of the first call that gets it"))
    closed_services: tuple[str, ...] = field(default=(), metadata=_about("account", "ids of services that are closed"))
    any_service: bool = field(
        default=False, metadata=_about("account", "take every service id, at `any_service_price`")
    )
    any_service_price: Decimal = field(
        default=Decimal("0.08"), metadata=_about("account", "price of a service that the list does not name")
    )
    price_change: tuple[str, ...] = field(
        default=(), metadata=_about("account", f"prices over time: {PRICE_CHANGE_FORM}")
    )

    pending_for: str = field(default="1", metadata=_about("orders", f"before an order is in process: {delay.FORM}"))
    process_for: str = field(default="2", metadata=_about("orders", "before it is completed or rejected"))
    rejected_share: float = field(default=0.0, metadata=_about("orders", "share of orders that end as rejected"))
    refund_rejected: bool = field(
        default=True, metadata=_about("orders", "the price of a rejected order is given back")
    )
    status_style: StatusStyle = field(default=StatusStyle.WORDS, metadata=_about("orders", "how a status is written"))
    result_layout: ResultLayout = field(
        default=ResultLayout.MIXED, metadata=_about("orders", "how results are laid out")
    )
    status_limit: int = field(default=0, metadata=_about("orders", "the most ids that getimeis takes; 0 is any number"))
    status_limit_error: bool = field(
        default=False, metadata=_about("orders", "refuse a longer list instead of cutting it silently")
    )
    status_unknown_share: float = field(
        default=0.0, metadata=_about("orders", "share of orders that getimeis does not know, always the same ones")
    )
    status_foreign_share: float = field(
        default=0.0, metadata=_about("orders", "share of orders that getimeis shows with another IMEI")
    )
    status_backwards_share: float = field(
        default=0.0, metadata=_about("orders", "share of orders that are pending again late in their process")
    )
    status_extra: int = field(
        default=0, metadata=_about("orders", "so many orders that nobody asked for stand in each reply of getimeis")
    )
    placed_extra: int = field(
        default=0, metadata=_about("orders", "so many orders that nobody asked for stand in each reply of placeorder")
    )
    lists_recent: int = field(
        default=0, metadata=_about("orders", "getimeis without ids lists so many recent orders; 0 is an error")
    )
    accountinfo: bool = field(default=True, metadata=_about("orders", "know the action accountinfo"))

    reply_layout: ReplyLayout = field(default=ReplyLayout.REPEATED, metadata=_about("reply", "how orders are laid out"))
    without_result: bool = field(default=False, metadata=_about("reply", "leave out the <result> around a reply"))
    error_in_result: bool = field(
        default=False, metadata=_about("reply", "put an error of the whole call inside a <result>")
    )
    shuffled: bool = field(
        default=False, metadata=_about("reply", "list orders in another order than they were sent in")
    )
    declaration: Declaration = field(default=Declaration.GOOD, metadata=_about("reply", "the head of a reply"))
    php_warning: bool = field(default=False, metadata=_about("reply", "a PHP warning stands before the XML"))
    bare_ampersand: bool = field(default=False, metadata=_about("reply", "texts with a bare &"))
    latin_1: bool = field(
        default=False, metadata=_about("reply", "accented text in latin-1, though the head says utf-8")
    )
    cdata: bool = field(default=False, metadata=_about("reply", "results in CDATA instead of escaped"))

    gzip: bool = field(default=False, metadata=_about("connection", "compress replies for clients that accept it"))
    chunked: bool = field(default=False, metadata=_about("connection", "send replies in chunks, without their length"))
    dribble: float = field(
        default=0.0, metadata=_about("connection", "seconds between two pieces of a reply; 0 sends it at once")
    )
    dribble_bytes: int = field(default=64, metadata=_about("connection", "bytes of such a piece"))
    idle_close: float = field(
        default=0.0, metadata=_about("connection", "close a connection that was idle for so many seconds; 0 never")
    )
    close_every: int = field(
        default=0, metadata=_about("connection", "close silently after so many calls on a connection; 0 never")
    )
    redirect: int = field(
        default=0, metadata=_about("connection", "redirect every call: 301, 302, 307 or 308; 0 never")
    )
    tls_cert: str = field(
        default="", metadata=_about("connection", "certificate file (PEM); the server then speaks TLS")
    )
    tls_key: str = field(default="", metadata=_about("connection", "key file (PEM)"))

    def __post_init__(self) -> None:
        for name, read in _READERS.items():
            value = getattr(self, name)
            for text in value if isinstance(value, tuple) else (value,):
                read_option(name, read, text)
        for option in OPTIONS:
            check_range(option, getattr(self, option.name))
        if self.redirect not in {0, 301, 302, 307, 308}:
            raise ConfigurationError(setting="redirect", problem="must be 301, 302, 307, 308 or 0")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ConfigurationError(setting="tls_cert", problem="a certificate and its key belong together")

    @classmethod
    def parse(cls, options: Mapping[str, object]) -> Behaviour:
        """Make a behaviour from texts or JSON values by option name (`-` or `_`); the rest are defaults."""
        return cls().updated(options)

    def updated(self, options: Mapping[str, object]) -> Behaviour:
        """Make the behaviour that differs in `options`: texts or JSON values by option name."""
        changes: dict[str, Any] = {}
        for given, value in options.items():
            option = _BY_NAME.get(given.replace("-", "_"))
            if option is None:
                raise ConfigurationError(setting=given, problem="is no option of the simulator")
            changes[option.name] = read_option(option.name, option.read, value)
        return dataclasses.replace(self, **changes)

    def to_json(self) -> dict[str, object]:
        """Give all options as JSON values; `parse` reads them back."""
        return {option.name: to_json(getattr(self, option.name)) for option in OPTIONS}


#: Options whose text has a grammar of its own.
_READERS: dict[str, Callable[[Any], object]] = {
    "latency": Delay.parse,
    "read_latency": Delay.parse,
    "refusal_latency": Delay.parse,
    "pending_for": Delay.parse,
    "process_for": Delay.parse,
    "faults": Fault.parse,
    "rate": Rate.parse,
    "price_change": PriceChange.parse,
}

OPTIONS: tuple[Option, ...] = tuple(
    Option(entry.name, type(entry.default), entry.default, entry.metadata["group"], entry.metadata["says"])
    for entry in dataclasses.fields(Behaviour)
)
_BY_NAME = {option.name: option for option in OPTIONS}
