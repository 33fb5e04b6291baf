"""The word to order that went to a server and was not answered: kept on disk until the server says what became of it.

Asked again with the same key, the server orders nothing twice and names the job. It remembers keys for two days.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec

from imeiflow.remote.error import RemoteError

#: The server's own memory is a little longer.
LASTS: Final = timedelta(hours=44)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A confirmation: of which draft at which server, with what key and words, and when it was sent first."""

    server: str
    draft: str
    key: str
    body: dict[str, Any]
    what: str
    at: datetime
    giver: str = ""  #: whose token it was, as `Server.giver` says


class PendingStore:
    """The confirmations of this machine's user that wait for an answer, one for each list and what it is to order."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "remote"

    def path(self, fingerprint: str) -> Path:
        """Give where a confirmation is kept."""
        return self._folder / f"{fingerprint}.json"

    def find(self, fingerprint: str) -> Pending | None:
        """Give the confirmation of a list that has not been answered; None where there is none.

        Raises RemoteError where it cannot be read: what it stands for may have been ordered.
        """
        try:
            return msgspec.json.decode(self.path(fingerprint).read_bytes(), type=Pending)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            raise RemoteError(
                problem=f"{self.path(fingerprint)} says that this list may have been ordered, and cannot be read",
                remedy="Look for it with `imeiflow jobs`; then remove the file, and submit what is left.",
            ) from None

    def keep(self, fingerprint: str, pending: Pending) -> None:
        """Keep a confirmation, durably, before it is sent. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self.path(fingerprint)
        fresh = target.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump({**asdict(pending), "at": pending.at.isoformat()}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(target)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def forget(self, fingerprint: str) -> None:
        """Forget a confirmation: it was answered."""
        with suppress(FileNotFoundError):
            self.path(fingerprint).unlink()


def make_fingerprint(server: str, digest: str, wanted: Mapping[str, object]) -> str:
    """Tell a list and what it is to order, at a server, from all others."""
    said = json.dumps([server, digest, sorted((name, str(value)) for name, value in wanted.items())])
    return hashlib.sha256(said.encode()).hexdigest()[:32]
