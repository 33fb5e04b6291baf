"""Asking a server, and again where that is safe: what only reads, and what carries a key and is done once at most."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from imeiflow.remote.address import Server
from imeiflow.remote.error import LostError, RemoteError, UnreachableError
from imeiflow.remote.wire import Request, Stream, ask, open_stream

#: Seconds between attempts; then it is given up.
_WAITS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
#: A server that has no time just now: what was asked for is neither done nor refused.
BUSY: Final = frozenset({429, 503})
#: Of a request that was looked at; others say nothing of what became of the one before, whose answer was lost.
_LOOKED: Final = frozenset({404, 409, 422})
_PAGE: Final = 1000


class Client:
    """Asks one server. `sleep` waits between attempts."""

    def __init__(self, server: Server, sleep: Callable[[float], None] = time.sleep) -> None:
        self.server = server
        self._sleep = sleep

    def get(self, path: str, **query: Any) -> Any:
        """Ask for a value. Raises UnreachableError, LostError, RemoteError."""
        return self._ask(Request(method="GET", path=path, query=query))

    def search(self, path: str, body: Mapping[str, Any]) -> Any:
        """Ask for a value by a body: nothing is changed by it."""
        return self._ask(Request(method="POST", path=path, body=body))

    def send(self, request: Request, *, key: str | None = None) -> Any:
        """Ask for a change that is made at most once, by a key of its own. Raises what `get` raises."""
        return self._ask(replace(request, key=key or secrets.token_urlsafe(24)))

    def act(self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Ask for a change described by a body. Raises what `get` raises."""
        return self.send(Request(method="POST", path=path, body=body), key=key)

    def delete(self, path: str) -> None:
        """Ask once for something to be forgotten."""
        ask(self.server, Request(method="DELETE", path=path))

    def pages(self, name: str, ask_page: Callable[[Any], Any], *, most: int = 0) -> Iterator[Any]:
        """Give what is listed under `name`, page after page; `ask_page` takes the cursor. `most`: 0 is all."""
        cursor, given = None, 0
        while True:
            page = ask_page(cursor)
            for one in page[name]:
                yield one
                given += 1
                if given == most:
                    return
            cursor = page["next"]
            if cursor is None:
                return

    @contextmanager
    def stream(self, path: str, **query: Any) -> Iterator[Stream]:
        """Give an answer while it comes; asked for once. Raises UnreachableError, LostError, RemoteError."""
        with open_stream(self.server, Request(method="GET", path=path, query=query)) as stream:
            yield stream

    def _ask(self, request: Request) -> Any:
        waits = iter(_WAITS_S)
        was_lost = False
        while True:
            try:
                return ask(self.server, request)
            except (UnreachableError, LostError) as error:
                was_lost = was_lost or isinstance(error, LostError)
                wait_s = next(waits, None)
                if wait_s is None:
                    if was_lost and isinstance(error, UnreachableError):
                        raise LostError(server=self.server.url, problem=error.data["problem"]) from None
                    raise
            except RemoteError as error:
                wait_s = next(waits, None)
                if wait_s is None or not (error.status in BUSY or error.code == "under-way"):
                    if was_lost and error.status not in _LOOKED:
                        raise LostError(server=self.server.url, problem=error.message) from None
                    raise
            self._sleep(wait_s)


def page_size(most: int) -> int:
    """Give how many to ask for at once, where `most` are wanted; 0 is all."""
    return min(most, _PAGE) if most else _PAGE
