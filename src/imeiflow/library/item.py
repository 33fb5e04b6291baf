"""From files, or the fields of a server service, in memory to a running job in the ledger. Sends no order; blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias, TypedDict, TypeGuard

from imeiflow.domain.ident import AccountName, ServiceId
from imeiflow.domain.item import FileItem, Item, ServerItem
from imeiflow.errors import UsageError
from imeiflow.operations.item_order import ItemRequest, order_items, propose_items, read_files
from imeiflow.operations.session import Session
from imeiflow.operations.steering import Resumed

#: A file by its path, or its name and its content.
OneFile: TypeAlias = str | os.PathLike[str] | tuple[str, bytes]
#: The fields that a server service asks for, by the provider's names.
Fields: TypeAlias = Mapping[str, str | int]


class ItemOptions(TypedDict, total=False):
    """What may be said about a job of files or server orders beside what it orders and its service.

    `max_spend` is in the account's currency; `reorder` orders once more what was accepted before.
    """

    name: str
    max_spend: Decimal | None
    reorder: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemTerms:
    """A service and the `ItemOptions` of a job. Raises UsageError for what makes no sense."""

    service: ServiceId
    name: str = ""
    max_spend: Decimal | None = None
    reorder: bool = False

    def __post_init__(self) -> None:
        if self.max_spend is not None and not (isinstance(self.max_spend, Decimal) and self.max_spend >= 0):
            raise UsageError(problem=f"max_spend must be a Decimal, 0 or more, not {self.max_spend!r}")


def name_files(files: OneFile | Iterable[OneFile]) -> tuple[Item, ...]:
    """Read one file or several, each a path or a pair of name and content. Raises UsageError; blocks."""
    if isinstance(files, str | os.PathLike) or _is_pair(files):
        files = [files]
    items: list[Item] = []
    for one in files:
        if _is_pair(one):
            items.append(_make_file(*one))
        elif isinstance(one, str | os.PathLike):
            items += read_files([Path(one)])
        else:
            problem = f"a path, or a pair of name and content, is expected, not {type(one).__name__}"
            raise UsageError(problem=problem)
    return _refuse_repeats(items)


def name_fields(orders: Fields | Iterable[Fields]) -> tuple[Item, ...]:
    """Take the fields of one server order or of several. Raises UsageError."""
    several = [orders] if isinstance(orders, Mapping) else list(orders)
    for one in several:
        if not isinstance(one, Mapping):
            raise UsageError(problem=f"the fields of an order are a mapping, not {type(one).__name__}")
    return _refuse_repeats([ServerItem({str(name): str(value) for name, value in one.items()}) for one in several])


def begin_items(session: Session, account: AccountName, items: tuple[Item, ...], terms: ItemTerms) -> Resumed:
    """Make a running job of them at today's price.

    What was accepted before is left out unless `reorder`. Raises WaitingItemError for what waits in an unfinished job
    or may have been placed, UsageError, ProviderError, UnknownServiceError, UnknownPriceError: nothing was begun then.
    """
    request = ItemRequest(
        items=items, service=terms.service, account=account, name=terms.name, max_spend=terms.max_spend
    )
    proposal = propose_items(session, request)
    job, lock, _ = order_items(session, proposal, reorder=terms.reorder, is_sure=True)
    return Resumed(job, lock, is_to_follow=True, was_running=False)


def _is_pair(value: object) -> TypeGuard[tuple[str, bytes]]:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], bytes)


def _make_file(name: str, content: bytes) -> FileItem:
    if not name.strip() or not content:
        raise UsageError(problem=f"the file {name!r} needs a name and a content")
    return FileItem(name, content)


def _refuse_repeats(items: list[Item]) -> tuple[Item, ...]:
    if not items:
        raise UsageError(problem="there is nothing to order")
    seen: dict[str, Item] = {}
    for item in items:
        if item.digest in seen:
            raise UsageError(problem=f"{item.subject} is the same as {seen[item.digest].subject}")
        seen[item.digest] = item
    return tuple(items)
