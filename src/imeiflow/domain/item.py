"""What an order is about where it is no IMEI: a file to be read by the provider, or a service's own fields.

Pure. Such orders travel one a call, and are never sent again on a guess: nothing is known that would refuse a repeat.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

_LONGEST_SUBJECT = 200


class OrderKind(StrEnum):
    """What the orders of a job are about."""

    IMEI = "imei"
    FILE = "file"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class FileItem:
    """A file that a service works on, such as a phone's unlock request."""

    name: str
    content: bytes

    @property
    def kind(self) -> OrderKind:
        """Give the kind of its order."""
        return OrderKind.FILE

    @property
    def subject(self) -> str:
        """Name it as a person would."""
        return self.name[:_LONGEST_SUBJECT]

    @property
    def cells(self) -> Mapping[str, str]:
        """Give what a row of its list holds, by column."""
        return {"file": self.name}

    @property
    def digest(self) -> str:
        """Tell its content apart from any other, whatever the file is called: SHA-256 in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class ServerItem:
    """The fields that a server service asks for, by the names that the provider gives them (`email_5`)."""

    fields: Mapping[str, str]

    @property
    def kind(self) -> OrderKind:
        """Give the kind of its order."""
        return OrderKind.SERVER

    @property
    def subject(self) -> str:
        """Name it as a person would."""
        return ", ".join(f"{name}={value}" for name, value in self.fields.items())[:_LONGEST_SUBJECT]

    @property
    def cells(self) -> Mapping[str, str]:
        """Give what a row of its list holds, by column."""
        return self.fields

    @property
    def digest(self) -> str:
        """Tell its fields apart from any others, in whichever order they were given."""
        return hashlib.sha256(json.dumps(dict(self.fields), sort_keys=True).encode()).hexdigest()


Item: TypeAlias = FileItem | ServerItem
