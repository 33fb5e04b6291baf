"""The one place that knows how a key may stand in bytes, and that blanks it. May not log or keep anything else."""

from __future__ import annotations

import html
import json
import re
from urllib.parse import quote, quote_plus

BLANK = "***"
#: Blanking anything shorter would destroy replies; no provider issues keys of that length.
_SHORTEST = 6


class Secret:
    """A key, and every spelling of it that a reply may carry back. Its repr shows nothing."""

    __slots__ = ("_bytes", "_texts", "value")

    def __init__(self, value: str) -> None:
        self.value = value
        texts = _spell(value) - {""}
        if len(value) < _SHORTEST:
            texts = set()
        self._texts = tuple(sorted(texts, key=len, reverse=True))
        spellings = {text.encode(encoding) for text in texts for encoding in ("utf-8", "utf-16-le", "utf-16-be")}
        self._bytes = tuple(sorted(spellings, key=len, reverse=True))

    def __repr__(self) -> str:
        return f"Secret({BLANK!r})"

    def blank(self, data: bytes) -> bytes:
        """Give `data` with every spelling of the key replaced."""
        for spelling in self._bytes:
            if spelling in data:
                data = data.replace(spelling, BLANK.encode())
        return data

    def blank_text(self, text: str) -> str:
        """Give `text` with every spelling of the key replaced."""
        for spelling in self._texts:
            if spelling in text:
                text = text.replace(spelling, BLANK)
        return text


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
