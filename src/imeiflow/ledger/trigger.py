"""What the database notes by itself: the changes that somebody wants to be told of, in the change's own transaction.

A trigger cannot be forgotten by whoever writes the next statement, and costs nothing measurable while nobody has
subscribed. SQLite's form stands beside PostgreSQL's, as in `dialect`.

An order's end is noted when its text is there, or when it is known that none will be asked for; then once more for each
other text that comes, so that whoever was told without one learns of it.
"""

from __future__ import annotations

from dataclasses import dataclass

#: In conditions, `{differs}` is a comparison that knows NULL.
_REACHED = "NEW.state = '{value}' AND OLD.state {differs} '{value}'"
_TOLD_OF_END = (
    "NEW.status = '{value}' AND (NEW.result IS NOT NULL OR NEW.due_at IS NULL) "
    "AND (OLD.status {differs} '{value}' OR OLD.result {differs} NEW.result "
    "OR (NEW.result IS NULL AND OLD.due_at IS NOT NULL))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Noted:
    """A change that is told of: `columns` that may make it true, `about` and `at` of the row after the change."""

    table: str
    columns: str
    value: str
    event: str
    when: str
    about: str
    at: str


_JOB = "NEW.id, NULL, NEW.reason"
_ORDER = "NEW.job_id, NEW.id, NULL"
_ENDING = "(SELECT COALESCE(ended_at, started_at) FROM attempt WHERE id = NEW.attempt_id)"
_NOTED = (
    *(
        _Noted(
            table="job",
            columns="state",
            value=value,
            event=f"job.{value}",
            when=_REACHED,
            about=_JOB,
            at="NEW.ended_at",
        )
        for value in ("finished", "paused")
    ),
    *(
        _Noted(
            table="orders",
            columns="status, result, due_at",
            value=value,
            event=f"order.{value}",
            when=_TOLD_OF_END,
            about=_ORDER,
            at="NEW.status_at",
        )
        for value in ("completed", "rejected")
    ),
    _Noted(
        table="orders",
        columns="state",
        value="unconfirmed",
        event="order.unconfirmed",
        when=_REACHED,
        about=_ORDER,
        at=_ENDING,
    ),
)
_WANTED = "EXISTS (SELECT 1 FROM webhook_event WHERE event = '{event}')"


def note_changes(dialect: str) -> list[str]:
    """Give the statements that let the database note, with the change itself, what somebody wants to be told of."""
    statements: list[str] = []
    for one in _NOTED:
        name = f"{one.table}_told_{one.value}"
        wanted = _WANTED.format(event=one.event)
        insert = (
            f"INSERT INTO notice (event, job_id, order_id, detail, at) "
            f"SELECT '{one.event}', {one.about}, COALESCE({one.at}, 0)"
        )
        begins = f"CREATE TRIGGER {name} AFTER UPDATE OF {one.columns} ON {one.table}"
        if dialect == "sqlite":
            when = one.when.format(value=one.value, differs="IS NOT")
            statements.append(f"{begins} WHEN {when} AND {wanted} BEGIN {insert}; END")
        else:
            when = one.when.format(value=one.value, differs="IS DISTINCT FROM")
            statements.append(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN {insert} WHERE {wanted}; "
                f"RETURN NULL; END $$"
            )
            statements.append(f"{begins} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()")
    return statements


def forget_changes(dialect: str) -> list[str]:
    """Give the statements that take back those of `note_changes`, before others are made."""
    statements: list[str] = []
    for one in _NOTED:
        name = f"{one.table}_told_{one.value}"
        if dialect == "sqlite":
            statements.append(f"DROP TRIGGER IF EXISTS {name}")
        else:
            statements += [f"DROP TRIGGER IF EXISTS {name} ON {one.table}", f"DROP FUNCTION IF EXISTS {name}()"]
    return statements
