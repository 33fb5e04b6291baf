"""The one place that knows how a key may stand in bytes, and that blanks it. May not log or keep anything else."""

from __future__ import annotations

import html
from urllib.parse import quote, quote_plus

BLANK = "***"
#: Blanking anything shorter would destroy replies; no provider issues keys of that length.
_SHORTEST = 6


class Secret:
    """A key, and every spelling of it that a reply may carry back. Its repr shows nothing."""

    __slots__ = ("_bytes", "_texts", "value")

    def __init__(self, value: str) -> None:
        self.value = value
        texts = {value, quote(value, safe=""), quote_plus(value), quote(value), html.escape(value)} - {""}
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
