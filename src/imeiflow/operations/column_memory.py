"""Which column somebody chose for lists of some headings: kept beside the ledger, so that it is chosen once.

A convenience, no truth: what is lost of it is chosen again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from imeiflow.intake.column import show_letter
from imeiflow.operations.session import Session

_KEPT: Final = 500


def remember_column(session: Session, owner: str, headings: Sequence[str], column: str) -> None:
    """Keep that somebody chose a column, by its letter, for lists with these headings."""
    key = _key(owner, headings)
    if key is None:
        return
    known = {name: letter for name, letter in _read(session).items() if name != key}
    kept = dict([*known.items(), (key, column)][-_KEPT:])
    path = _path(session)
    part = path.with_suffix(".part")
    with suppress(OSError):
        part.touch(mode=0o600)
        part.write_text(json.dumps(kept), encoding="ascii")
        part.replace(path)


def recall_column(session: Session, owner: str, headings: Sequence[str]) -> str | None:
    """Give the letter of the column that somebody chose before; None where there is none."""
    key = _key(owner, headings)
    found = None if key is None else _read(session).get(key)
    return found if isinstance(found, str) and len(found) <= 3 else None


def _key(owner: str, headings: Sequence[str]) -> str | None:
    """Name a kind of list; None for one without headings: letters alone say nothing of what stands below them."""
    if all(name in {"", show_letter(place)} for place, name in enumerate(headings)):
        return None
    told = json.dumps([owner, *headings], ensure_ascii=True)
    return hashlib.sha256(told.encode("ascii")).hexdigest()[:24]


def _read(session: Session) -> dict[str, object]:
    try:
        found = json.loads(_path(session).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _path(session: Session) -> Path:
    return session.locks / "columns.json"
