"""Tell of an order's end when its text is there, or when none will be asked for; and of a text that comes later."""

from alembic import op

from imeiflow.ledger.trigger import forget_changes, note_changes

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in (*forget_changes(dialect), *note_changes(dialect)):
        op.execute(statement)
