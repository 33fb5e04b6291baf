"""Reads the fields of a request body: urlencoded, as most clients send it, or multipart, as the vendor's sample does.

Pure. A body that is neither gives no fields: the server then says that the user is invalid, as live ones do.
"""

from __future__ import annotations

import re
from typing import cast
from urllib.parse import unquote_plus

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)', re.IGNORECASE)


def read_form(body: bytes, content_type: str) -> dict[str, str]:
    """Read the fields of a form by name; of a name that stands twice, the last."""
    if "multipart/form-data" in content_type.lower():
        return _read_multipart(body, content_type)
    text = body.decode("utf-8", "replace")
    pairs = [pair.split("=", 1) for pair in text.split("&") if "=" in pair]
    if "%" in text or "+" in text:
        return {unquote_plus(name): unquote_plus(value) for name, value in pairs}
    return dict(cast("list[tuple[str, str]]", pairs))


def _read_multipart(body: bytes, content_type: str) -> dict[str, str]:
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return {}
    fields: dict[str, str] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.group(1).encode())[1:]:
        if part.startswith(b"--"):
            break
        head, blank, value = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if blank and name is not None:
            fields[name.group(1).decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return fields
