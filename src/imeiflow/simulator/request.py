"""Reads the head of an HTTP/1.1 request. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024


class BadRequestError(Exception):
    """A request that is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request. `length` is None for a chunked body."""

    method: str
    path: str
    query: str
    content_type: str
    length: int | None
    is_kept: bool
    takes_gzip: bool
    awaits_continue: bool


@lru_cache(maxsize=512)
def read_head(raw: bytes) -> Head:
    """Read the head of a request without its blank line; a client's heads are alike, so they are kept."""
    first, *lines = raw.decode("latin-1").split("\r\n")
    try:
        method, target, version = first.split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = None if is_chunked else int(headers.get("content-length", "0"))
    except ValueError as error:
        raise BadRequestError(first) from error
    if not version.startswith("HTTP/1.") or (length is not None and length < 0):
        raise BadRequestError(first)
    connection = headers.get("connection", "").lower()
    path, _, query = target.partition("?")
    return Head(
        method,
        path,
        query,
        headers.get("content-type", ""),
        length,
        "close" not in connection if version == "HTTP/1.1" else "keep-alive" in connection,
        "gzip" in headers.get("accept-encoding", "").lower(),
        "100-continue" in headers.get("expect", "").lower(),
    )
