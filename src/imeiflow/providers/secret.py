"""The one place that knows how a key may stand in bytes, and that blanks it. May not log or keep anything else."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

BLANK = "***"
#: Blanking anything shorter would destroy replies; no provider issues keys of that length.
_SHORTEST = 6


class Secret:
    """A key, and every spelling of it that a reply may carry back. Its repr shows nothing."""

    __slots__ = ("_bytes", "_texts", "_wide", "value")

    def __init__(self, value: str) -> None:
        self.value = value
        texts = _spell(value) - {""}
        if len(value) < _SHORTEST:
            texts = set()
        self._texts = tuple(sorted(texts, key=len, reverse=True))
        wide = {text.encode(encoding) for text in texts for encoding in ("utf-16-le", "utf-16-be")}
        #: Not looked for where they cannot be: each has a zero byte, but of a key in no letter that ASCII has.
        self._wide = _sort(spelling for spelling in wide if 0 in spelling)
        self._bytes = _sort({text.encode() for text in texts} | (wide - set(self._wide)))

    def __repr__(self) -> str:
        return f"Secret({BLANK!r})"

    def blank(self, data: bytes) -> bytes:
        """Give `data` with every spelling of the key replaced."""
        for spelling in self._bytes if b"\0" not in data else (*self._wide, *self._bytes):
            if spelling in data:
                data = data.replace(spelling, BLANK.encode())
        return data

    def blank_text(self, text: str) -> str:
        """Give `text` with every spelling of the key replaced."""
        for spelling in self._texts:
            if spelling in text:
                text = text.replace(spelling, BLANK)
        return text


def _sort(spellings: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(spellings, key=len, reverse=True))


def _spell(value: str) -> set[str]:
    """Give the key as it stands in text, forms, URLs, HTML and JSON, by the habits of several languages."""
    quoted = {quote(value, safe=""), quote_plus(value), quote(value)}
    marked = html.escape(value)
    as_json = json.dumps(value)[1:-1]
    return {
        value,
        *quoted,
        *(re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in quoted),
        marked,
        html.escape(value, quote=False),
        marked.replace("&#x27;", "'"),
        marked.replace("&#x27;", "&#39;"),
        marked.replace("&#x27;", "&apos;"),
        as_json,
        as_json.replace("/", "\\/"),
    }
