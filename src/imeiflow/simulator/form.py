"""Reads the fields of a request body: urlencoded, as most clients send it, or multipart, as the vendor's sample does.

Pure. A body that is neither gives no fields: the server then says that the user is invalid, as live ones do.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)', re.IGNORECASE)
_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)', re.IGNORECASE)


def read_form(body: bytes, content_type: str) -> dict[str, str]:
    """Read the fields of a form by name; of a name that stands twice, the last."""
    if "multipart/form-data" in content_type.lower():
        return _read_multipart(body, content_type)
    fields: dict[str, str] = {}
    for pair in body.decode("utf-8", "replace").split("&"):
        name, equals, value = pair.partition("=")
        if equals:
            fields[_unquote(name)] = _unquote(value)
    return fields


def _unquote(text: str) -> str:
    return unquote_plus(text) if "%" in text or "+" in text else text


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
