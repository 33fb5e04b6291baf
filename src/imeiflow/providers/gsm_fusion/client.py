"""The calls of GSM Fusion and its siblings. May not retry, nor decide what the reply does not say."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, assert_never

from msgspec import Struct, structs

from imeiflow.domain.ident import Reference, ServiceId
from imeiflow.domain.imei import Imei
from imeiflow.domain.item import FileItem, Item, OrderKind, ServerItem
from imeiflow.domain.money import Money
from imeiflow.domain.outcome import ErrorKind
from imeiflow.domain.reply import NamedOrder, ReplyContent, WholeError, account_for, account_for_failure
from imeiflow.errors import ConfigurationError, UsageError
from imeiflow.providers.contract import Exchange, Listing, Login, OrderStatus, Placement, Service, Timeouts
from imeiflow.providers.endpoint import build_ssl_context, read_base_url
from imeiflow.providers.gsm_fusion.document import Shape, Unreadable, read_document, read_text, read_words
from imeiflow.providers.gsm_fusion.form import FormWriter, check_extra
from imeiflow.providers.gsm_fusion.listing import (
    CatalogEntry,
    read_catalog,
    read_credit,
    read_orders,
    read_services,
    read_statuses,
)
from imeiflow.providers.gsm_fusion.plain import read_plain
from imeiflow.providers.gsm_fusion.reply import read_placement
from imeiflow.providers.gsm_fusion.verdict import Verdict, judge
from imeiflow.providers.retry_after import read_retry_after
from imeiflow.providers.secret import Secret
from imeiflow.providers.transport import EVIDENCE_BYTES, Transport

if TYPE_CHECKING:
    from lxml.etree import _Element
    from yarl import URL

T = TypeVar("T")

#: Where servers of this family answer; taken off a base URL that was pasted with it.
KNOWN_PATHS = ("/gsmfusion_api/index.php", "/UPAPI_api/index.php")


@dataclass(frozen=True, slots=True)
class GsmFusionProvider:
    """GSM Fusion, or a sibling that differs in the path and in the name of the service list."""

    name: str = "gsm-fusion"
    max_chunk: int = 100
    kinds: frozenset[OrderKind] = frozenset(OrderKind)
    lists_recent_orders: bool = True
    api_path: str = KNOWN_PATHS[0]
    services_action: str = "imeiservices"

    def check_item(self, item: Item) -> None:
        """Raise UsageError for a field that is the call's own, and for a file without a name or content."""
        match item:
            case FileItem(name, content):
                if not name.strip() or not content:
                    raise UsageError(problem=f"the file {name!r} is empty, or has no name")
            case ServerItem(fields):
                if not fields:
                    raise UsageError(problem="a server order needs the fields that its service asks for")
                check_extra(fields, "serviceid")
            case _:
                assert_never(item)

    def connect(self, login: Login, *, max_concurrency: int, timeouts: Timeouts) -> GsmFusionConnection:
        """Open a connection for up to `max_concurrency` calls at once; nothing is sent yet.

        Raises ConfigurationError where the base URL, the login or `ca_file` cannot be used.
        """
        base = read_base_url(login, (*KNOWN_PATHS, self.api_path))
        for setting, value in (("username", login.username), ("key", login.key)):
            if not value.strip():
                raise ConfigurationError(
                    setting=setting, problem="it is empty", remedy="Copy it from your account page."
                )
        secret = Secret(login.key)
        transport = Transport(
            secret=secret,
            max_concurrency=max_concurrency,
            timeouts=timeouts,
            ssl_context=build_ssl_context(login) if base.scheme == "https" else None,
        )
        url = base.with_path(base.path.rstrip("/") + self.api_path)
        return GsmFusionConnection(self, url, transport, FormWriter(login.username, login.key), secret)


_UNEXPLAINED = WholeError(ErrorKind.UNKNOWN, "the call failed")


class _Answer(Struct, Generic[T], frozen=True):
    """What a call came to: what was found in a document, or else the error that stands for the whole call."""

    exchange: Exchange
    found: T | None
    error: WholeError = _UNEXPLAINED


class GsmFusionConnection:
    """One lane's calls. Safe for many at once in one event loop; see `contract.Connection`."""

    def __init__(
        self,
        provider: GsmFusionProvider,
        url: URL,
        transport: Transport,
        form: FormWriter,
        secret: Secret,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._provider = provider
        self._url = url
        self._transport = transport
        self._form = form
        self._secret = secret
        self._now = now

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._url)!r})"

    async def place(
        self,
        imeis: Sequence[Imei],
        service: ServiceId,
        extra: Mapping[str, str] | None = None,
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Placement:
        """Place one order an IMEI (distinct, one or more) in one call, and account for each of them.

        A cancellation propagates; `on_sent` is called just before the first byte leaves. Raises UsageError before
        anything is sent where `extra` would overwrite the call's own fields, or `imeis` is empty or repeats one.
        """
        if not imeis or len(set(imeis)) != len(imeis):
            raise UsageError(problem="a call carries one or more distinct IMEIs")
        if not all(imei.isascii() and imei.isdigit() for imei in imeis):
            raise UsageError(problem="an IMEI is written in digits only")
        check_extra(extra or {})
        form = self._form.write_order(imeis, service, extra or {})
        answer: _Answer[ReplyContent] = await self._call(form, read_placement, _is_telling, on_sent, read_plain)
        exchange = answer.exchange
        if answer.found is None:
            return Placement(exchange, account_for_failure(imeis, exchange.ending, answer.error))
        return Placement(exchange, account_for(imeis, self._complete(exchange, answer.found)))

    async def place_item(
        self, item: Item, service: ServiceId, *, on_sent: Callable[[], None] | None = None
    ) -> Placement:
        """Place one file or server order, and account for it under its subject; see `contract.Connection`."""
        sent = [Imei(item.subject)]
        answer: _Answer[ReplyContent] = await self._call(
            self._write_item(item, service), _read_item, _is_telling, on_sent
        )
        if answer.found is None:
            return Placement(answer.exchange, account_for_failure(sent, answer.exchange.ending, answer.error))
        return Placement(answer.exchange, account_for(sent, self._complete(answer.exchange, answer.found)))

    async def list_services(self, kind: OrderKind = OrderKind.IMEI) -> Listing[Service]:
        """Fetch the price list of the services of one kind."""
        match kind:
            case OrderKind.IMEI:
                action = self._provider.services_action
            case OrderKind.FILE | OrderKind.SERVER:
                action = f"{kind.value}services"
            case _:
                assert_never(kind)
        return await self._list(action, {}, read_services)

    async def fetch_statuses(self, references: Sequence[Reference]) -> Listing[OrderStatus]:
        """Fetch the status of orders; an empty sequence asks for the recent ones, which few servers list."""
        fields = {"orderIds": ",".join(references)} if references else {}
        return await self._list("getimeis", fields, read_statuses)

    async def fetch_credit(self) -> Listing[Money]:
        """Fetch the balance, on servers that know `accountinfo`."""
        return await self._list("accountinfo", {}, read_credit)

    async def fetch_item_status(self, kind: OrderKind, reference: Reference) -> Listing[OrderStatus]:
        """Fetch the status of one file or server order."""
        return await self._list(f"get{kind.value}order", {"orderId": reference}, read_statuses)

    async def list_mobiles(self) -> Listing[CatalogEntry]:
        """Fetch the brands and models that some services ask for."""
        return await self._list("getmobiles", {}, read_catalog)

    async def list_providers(self) -> Listing[CatalogEntry]:
        """Fetch the countries and networks that some services ask for."""
        return await self._list("getproviders", {}, read_catalog)

    async def list_lookup_services(self) -> Listing[CatalogEntry]:
        """Fetch the names of the services of action `getservices`."""
        return await self._list("getservices", {}, read_catalog)

    async def fetch_service_details(self, service_type: str) -> Listing[CatalogEntry]:
        """Fetch what `getservicedtls` lists for one type (`st`)."""
        return await self._list("getservicedtls", {"st": service_type}, read_catalog)

    async def close(self) -> None:
        """Close the kept connections; calls under way end in doubt."""
        await self._transport.close()

    def _write_item(self, item: Item, service: ServiceId) -> tuple[bytes, bytes]:
        """Give a placing form, and what is kept of it: of a file, its size and its digest in place of its content."""
        match item:
            case FileItem(name, content):
                fields = {"networkId": str(service), "fileName": name}
                body, _ = self._form.write(
                    "placefileorder", {**fields, "fileData": base64.b64encode(content).decode("ascii")}
                )
                told = f"{len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}"
                _, evidence = self._form.write("placefileorder", {**fields, "fileData": told})
                return body, evidence
            case ServerItem(fields):
                return self._form.write("placeserverorder", {**fields, "serviceId": service})
            case _:
                assert_never(item)

    async def _list(
        self, action: str, fields: Mapping[str, str], read: Callable[[_Element], tuple[T, ...]]
    ) -> Listing[T]:
        def read_both(root: _Element) -> tuple[tuple[T, ...], ReplyContent]:
            return read(root), read_placement(root)

        def tells(both: tuple[tuple[T, ...], ReplyContent], status: int) -> bool:
            return bool(both[0]) or _is_telling(both[1], status)

        answer: _Answer[tuple[tuple[T, ...], ReplyContent]] = await self._call(
            self._form.write(action, fields), read_both, tells
        )
        if answer.found is None:
            return Listing(answer.exchange, error=answer.error)
        items, content = answer.found
        error = self._complete(answer.exchange, content).error
        if not items and error is None:
            error = WholeError(ErrorKind.UNKNOWN, f"the reply to {action} lists nothing")
        return Listing(answer.exchange, items, error)

    async def _call(
        self,
        form: tuple[bytes, bytes],
        read: Callable[[_Element], T],
        is_telling: Callable[[T, int], bool],
        on_sent: Callable[[], None] | None = None,
        read_bytes: Callable[[bytes], T | None] = lambda _: None,
    ) -> _Answer[T]:
        """Make one call; give what `read` made of the document, or else the error that stands for the whole call.

        A status other than 2xx is overruled by a document only where `is_telling` says that it means something.
        `read_bytes` saves the document where it can give, of what is telling, the same that `read` would.
        """
        body, evidence = form
        exchange, failure = await self._transport.post(self._url, body, evidence=evidence, on_sent=on_sent)
        if failure is not None:
            return _Answer(exchange, None, failure)
        plain = read_bytes(exchange.reply)
        if plain is not None:
            return _Answer(exchange, plain)
        document = read_document(exchange.reply)
        status = exchange.http_status or 0
        is_success = 200 <= status < 300
        if not isinstance(document, Unreadable):
            found = read(document)
            if is_success or is_telling(found, status):
                return _Answer(exchange, found)
            shape = Shape.MALFORMED if read_placement(document).error is None else Shape.SHOP
            text = read_text(document)
            document = Unreadable(shape, "XML that says nothing of orders", read_words(text), text)
        verdict = judge(exchange, document, read_retry_after(exchange.headers, self._now()))
        return self._conclude(exchange, verdict)

    def _conclude(self, exchange: Exchange, verdict: Verdict) -> _Answer[Any]:
        error = replace(verdict.error, message=self._secret.blank_text(verdict.error.message))
        reply = exchange.reply[:EVIDENCE_BYTES]
        return _Answer(
            structs.replace(exchange, ending=verdict.ending, reply=reply, problem=error.message), None, error
        )

    def _complete(self, exchange: Exchange, content: ReplyContent) -> ReplyContent:
        """Blank the key in messages, and add the header's wait to an error that gives none."""
        if content.error is None and not content.errors:
            return content
        blank = self._secret.blank_text
        error = content.error
        if error is not None:
            wait_s = read_retry_after(exchange.headers, self._now())
            wait_s = wait_s if wait_s is not None else error.retry_after_s
            error = replace(error, message=blank(error.message), retry_after_s=wait_s)
        errors = tuple(replace(named, message=blank(named.message)) for named in content.errors)
        return structs.replace(content, errors=errors, error=error)


def _read_item(root: _Element) -> ReplyContent:
    """Read the reply to a file or server order: the order in it is ours, for nothing else was asked for."""
    placed = (NamedOrder("", status.reference, status.status) for status in read_orders(root))
    content = read_placement(root)
    return ReplyContent(tuple(placed), errors=content.errors, error=content.error)


def _is_telling(content: ReplyContent, status: int) -> bool:
    """Say whether a document means something beside a status other than 2xx.

    A server that failed (5xx, but for a limiter's 503) may have placed orders before: no error of the whole call
    proves then that none was placed.
    """
    if content.orders or content.duplicates or content.errors:
        return True
    if status >= 500 and status != 503:
        return False
    return content.error is not None and (content.error.duplicate or content.error.kind is not ErrorKind.UNKNOWN)
