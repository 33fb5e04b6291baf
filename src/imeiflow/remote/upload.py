"""A list on its way to a server: fields and file as a form, streamed, so that memory does not grow with the file."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PART: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Form:
    """Fields and one file, which can be sent as often as needed."""

    fields: Mapping[str, str]
    path: Path
    name: str
    boundary: str

    @property
    def media_type(self) -> str:
        """Give what it has to be sent as."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def size(self) -> int:
        """Count its bytes."""
        return len(self._head()) + self.path.stat().st_size + len(self._tail())

    def __iter__(self) -> Iterator[bytes]:
        yield self._head()
        with self.path.open("rb") as file:
            while part := file.read(_PART):
                yield part
        yield self._tail()

    def _head(self) -> bytes:
        told = "".join(
            f'--{self.boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in self.fields.items()
        )
        name = "".join(letter if letter.isprintable() and letter not in '"\\' else "_" for letter in self.name)
        head = f'content-disposition: form-data; name="file"; filename="{name or "list"}"'
        return f"{told}--{self.boundary}\r\n{head}\r\ncontent-type: application/octet-stream\r\n\r\n".encode()

    def _tail(self) -> bytes:
        return f"\r\n--{self.boundary}--\r\n".encode()


def make_form(path: Path, name: str, fields: Mapping[str, object]) -> Form:
    """Make the form of a file; fields that are None are left out."""
    texts = {field: _write(value) for field, value in fields.items() if value is not None}
    return Form(texts, path, name, f"imeiflow-{secrets.token_hex(16)}")


def digest_file(path: Path) -> str:
    """Digest a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
