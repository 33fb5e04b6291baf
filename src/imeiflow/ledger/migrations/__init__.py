"""The history of the ledger's schema, carried out by Alembic within a transaction of the caller's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def read_history() -> ScriptDirectory:
    """Read the revisions that are packaged here."""
    return ScriptDirectory(str(Path(__file__).parent))


def upgrade(connection: Connection, to: str = "head") -> None:
    """Bring the schema to its newest revision, or that of `to`, within the connection's transaction."""
    history = read_history()

    def steps(revision: Any, _: MigrationContext) -> Any:
        return history._upgrade_revs(to, revision)  # noqa: SLF001 - what alembic's own command does

    context = MigrationContext.configure(connection, opts={"fn": steps, "transactional_ddl": True})
    with Operations.context(context):
        context.run_migrations()
