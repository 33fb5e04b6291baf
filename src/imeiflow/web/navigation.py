"""Finding the pages: each is a package of `page` whose module `route` says what it serves and where it stands.

To add a page, add a folder; no list has to be kept.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from litestar.types import ControllerRouterHandler

from imeiflow.domain.user import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A page's line in the navigation. `rank` orders them; `badge` is the address of a fragment that counts."""

    label: str
    path: str
    icon: str  #: a symbol of `template/icon.html`
    rank: int
    role: Role = Role.VIEWER
    badge: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a folder of `page` serves: `PAGE` of its module `route`."""

    handlers: Sequence[ControllerRouterHandler]
    entry: Entry | None = None


@cache
def find_pages() -> tuple[Page, ...]:
    """Import all pages."""
    import imeiflow.web.page as package  # noqa: PLC0415 - pages import this module

    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__) if info.ispkg)
    return tuple(importlib.import_module(f"{package.__name__}.{name}.route").PAGE for name in names)


@cache
def list_entries() -> tuple[Entry, ...]:
    """List the navigation's lines in their order."""
    return tuple(sorted((page.entry for page in find_pages() if page.entry is not None), key=lambda one: one.rank))
