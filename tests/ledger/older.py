"""Ledgers as an older version left them, made by that version's own migrations."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import create_engine

from imeiflow.ledger.migrations import upgrade


def make_older(path: Path, revision: str, content: str) -> None:
    """Make a ledger of a revision, and fill it by SQL."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        upgrade(connection, revision)
    engine.dispose()
    with sqlite3.connect(path) as connection:
        connection.executescript(content)
    connection.close()
