"""What a provider must be able to do. The whole plug-in contract stands in this file.

A provider is found by the entry point group `imeiflow.providers`; each entry is a `Provider`. A provider opens
connections (`Connection`), one a lane, and those carry the calls. A connection never retries, follows no redirect and
never re-sends: whatever cannot be known comes back as `Ending.IN_DOUBT`. No method raises for what a server does.
A cancelled call raises CancelledError and nothing else: its orders are in doubt, unless `on_sent` was not called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Protocol, TypeVar

import msgspec

from imeiflow.domain.ident import AccountName, Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import Item, OrderKind
from imeiflow.domain.money import Money
from imeiflow.domain.order import ResultStatus
from imeiflow.domain.outcome import Ending
from imeiflow.domain.reply import Account, WholeError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """One login at one server. `key` is a secret: it appears in no repr, log, error, ledger or evidence."""

    account: AccountName
    base_url: str
    username: str
    key: str = field(repr=False)
    insecure: bool = False  #: allows http:// elsewhere than on loopback
    ca_file: str | None = None  #: a certificate authority of one's own, PEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds allowed for each phase of a call; only the first two prove that nothing was sent."""

    connect_s: float = 15.0
    pool_s: float = 60.0
    read_s: float = 120.0  #: silence between two pieces of the reply
    total_s: float = 600.0  #: backstop against a server that never reads


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP call as it happened, for the ledger's evidence. Keys are blanked in `request`."""

    ending: Ending
    request: bytes
    reply: bytes = b""
    http_status: int | None = None
    headers: Mapping[str, str] = msgspec.field(
        default_factory=dict
    )  #: Content-Type, Retry-After, Server, CF-RAY, Date, Location
    elapsed_s: float = 0.0  #: from just before the call until its end
    connect_s: float | None = None  #: until a new connection was open; None when one was reused
    problem: str = ""  #: the lower library's error, in words


class Placement(msgspec.Struct, frozen=True):
    """The outcome of one placing call: what happened on the wire, and what it proves."""

    exchange: Exchange
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service of a price list."""

    id: ServiceId
    name: str
    category: str = ""
    price: Money | None = None
    delivery: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStatus:
    """What the provider says of one order."""

    reference: Reference
    imei: str = ""
    service_name: str = ""
    status: ResultStatus | None = None
    code: str = ""
    requested_at: datetime | None = None
    requested_text: str = ""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """The answer to a read-only call: its items, or the error. Never both empty without an error of its own."""

    exchange: Exchange
    items: tuple[T, ...] = ()
    error: WholeError | None = None


class Connection(Protocol):
    """The calls of one lane over kept connections. Safe for many calls at once in one event loop."""

    async def place(
        self,
        imeis: Sequence[Imei],
        service: ServiceId,
        extra: Mapping[str, str] | None = None,
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Placement:
        """Place one order an IMEI (1 to 100, distinct) in one call; `extra` adds the service's own fields.

        `on_sent` is called just before the first byte leaves; where it was not, nothing was sent. Raises UsageError,
        before anything is sent, for an `extra` that would overwrite the call's own fields.
        """

    async def place_item(
        self, item: Item, service: ServiceId, *, on_sent: Callable[[], None] | None = None
    ) -> Placement:
        """Place one order about a file or a service's own fields; its account names it by `item.subject`.

        Raises UsageError, before anything is sent, for what the provider cannot take.
        """

    async def list_services(self, kind: OrderKind = OrderKind.IMEI) -> Listing[Service]:
        """Fetch the price list of the services of one kind."""

    async def fetch_item_status(self, kind: OrderKind, reference: Reference) -> Listing[OrderStatus]:
        """Fetch the status of one file or server order."""

    async def fetch_statuses(self, references: Sequence[Reference]) -> Listing[OrderStatus]:
        """Fetch the status of orders; an empty sequence asks for the recent orders, where a server lists them."""

    async def fetch_credit(self) -> Listing[Money]:
        """Fetch the balance; an error where the provider does not tell it."""

    async def close(self) -> None:
        """Close the kept connections; calls under way end in doubt."""


class Provider(Protocol):
    """One protocol: its name, its greatest chunk, and how to open a connection."""

    name: str
    max_chunk: int
    kinds: frozenset[OrderKind]  #: what its orders may be about
    lists_recent_orders: bool  #: worth a try: an empty `fetch_statuses` may list recent orders

    def check_item(self, item: Item) -> None:
        """Raise UsageError for what could not be ordered: a field that is the call's own, a file without content."""

    def connect(self, login: Login, *, max_concurrency: int, timeouts: Timeouts) -> Connection:
        """Open a connection for up to `max_concurrency` calls at once.

        Raises ConfigurationError where the base URL is neither https nor loopback nor allowed by `insecure`.
        """
