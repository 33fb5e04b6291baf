"""Lists of IMEIs that somebody searches for: kept beside the ledger, so that an address can name thousands of them.

A list is named by its content. Only the newest of each person are kept; whoever comes back after that pastes it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from imeiflow.domain.imei import Imei
from imeiflow.errors import UsageError
from imeiflow.operations.session import Session

_KEPT: Final = 100  #: of one person
_MOST: Final = 5_000
_NAME: Final = re.compile(r"[0-9a-f]{24}")


class ForgottenListError(UsageError):
    """This list of IMEIs is not kept any more."""

    remedy = "Paste it again."


def keep_imei_list(session: Session, imeis: Iterable[Imei], owner: str) -> str:
    """Keep a list of IMEIs, for the owner of the ledger alone, and give its name; `owner` is who searches."""
    content = "\n".join(imeis).encode()
    name = hashlib.sha256(content).hexdigest()[:24]
    folder = _folder(session)
    own = folder / hashlib.sha256(owner.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(prefix=".", suffix=".part", dir=own)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(part).replace(own / f"{name}.txt")
    _forget(own.glob("*.txt"), _KEPT)
    _forget(folder.glob("*/*.txt"), _MOST)
    return name


def _forget(paths: Iterable[Path], most: int) -> None:
    """Forget all but the newest."""
    dated = []
    for path in paths:
        with suppress(FileNotFoundError):  # forgotten by somebody else just now
            dated.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(dated, reverse=True)[most:]:
        path.unlink(missing_ok=True)


def recall_imei_list(session: Session, name: str) -> tuple[Imei, ...]:
    """Give a list by its name. Raises ForgottenListError."""
    if not _NAME.fullmatch(name):
        raise ForgottenListError
    for path in _folder(session).glob(f"*/{name}.txt"):
        with suppress(FileNotFoundError):
            return tuple(map(Imei, path.read_text(encoding="ascii").split()))
    raise ForgottenListError


def _folder(session: Session) -> Path:
    return session.locks / "searches"
