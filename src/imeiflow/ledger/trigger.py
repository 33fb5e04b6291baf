"""What the database notes by itself: the changes that somebody wants to be told of, in the change's own transaction.

A trigger cannot be forgotten by whoever writes the next statement, and costs nothing measurable while nobody has
subscribed. SQLite's form stands beside PostgreSQL's, as in `dialect`.
"""

from __future__ import annotations

#: What is told of: when a column is set, to what, and when that was. `{new}` is the row after the change.
_NOTED = (
    ("job", "state", "finished", "job.finished", "{new}.id, NULL, {new}.reason", "{new}.ended_at"),
    ("job", "state", "paused", "job.paused", "{new}.id, NULL, {new}.reason", "{new}.ended_at"),
    ("orders", "status", "completed", "order.completed", "{new}.job_id, {new}.id, NULL", "{new}.status_at"),
    ("orders", "status", "rejected", "order.rejected", "{new}.job_id, {new}.id, NULL", "{new}.status_at"),
    (
        "orders",
        "state",
        "unconfirmed",
        "order.unconfirmed",
        "{new}.job_id, {new}.id, NULL",
        "(SELECT COALESCE(ended_at, started_at) FROM attempt WHERE id = {new}.attempt_id)",
    ),
)
_WANTED = "EXISTS (SELECT 1 FROM webhook_event WHERE event = '{event}')"


def note_changes(dialect: str) -> list[str]:
    """Give the statements that let the database note, with the change itself, what somebody wants to be told of."""
    statements: list[str] = []
    for table, column, value, event, about, at in _NOTED:
        name = f"{table}_told_{value}"
        insert = (
            f"INSERT INTO notice (event, job_id, order_id, detail, at) "
            f"SELECT '{event}', {about.format(new='NEW')}, COALESCE({at.format(new='NEW')}, 0)"
        )
        if dialect == "sqlite":
            wanted = _WANTED.format(event=event)
            statements.append(
                f"CREATE TRIGGER {name} AFTER UPDATE OF {column} ON {table} "
                f"WHEN NEW.{column} = '{value}' AND OLD.{column} IS NOT '{value}' AND {wanted} "
                f"BEGIN {insert}; END"
            )
        else:
            statements.append(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {insert} WHERE {_WANTED.format(event=event)}; "
                f"RETURN NULL; END $$"
            )
            statements.append(
                f"CREATE TRIGGER {name} AFTER UPDATE OF {column} ON {table} FOR EACH ROW "
                f"WHEN (NEW.{column} = '{value}' AND OLD.{column} IS DISTINCT FROM '{value}') "
                f"EXECUTE FUNCTION {name}()"
            )
    return statements
