"""Lists of IMEIs that somebody searches for: kept beside the ledger, so that an address can name thousands of them.

A list is named by its content. Only the newest are kept; whoever comes back after that pastes it again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from imeiflow.domain.imei import Imei
from imeiflow.errors import UsageError
from imeiflow.operations.session import Session

_KEPT: Final = 200
_NAME: Final = re.compile(r"[0-9a-f]{24}")


class ForgottenListError(UsageError):
    """This list of IMEIs is not kept any more."""

    remedy = "Paste it again."


def keep_imei_list(session: Session, imeis: Iterable[Imei]) -> str:
    """Keep a list of IMEIs, for the owner of the ledger alone, and give its name."""
    content = "\n".join(imeis).encode()
    name = hashlib.sha256(content).hexdigest()[:24]
    folder = _folder(session)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{name}.txt"
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(path)
    for old in sorted(folder.glob("*.txt"), key=lambda one: one.stat().st_mtime_ns, reverse=True)[_KEPT:]:
        old.unlink(missing_ok=True)
    return name


def recall_imei_list(session: Session, name: str) -> tuple[Imei, ...]:
    """Give a list by its name. Raises ForgottenListError."""
    if not _NAME.fullmatch(name):
        raise ForgottenListError
    try:
        return tuple(map(Imei, (_folder(session) / f"{name}.txt").read_text(encoding="ascii").split()))
    except FileNotFoundError:
        raise ForgottenListError from None


def _folder(session: Session) -> Path:
    return session.locks / "searches"
