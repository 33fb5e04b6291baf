"""Keep who made a token: it ends with their role. Of older ones the log knows it, by the moment."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_token", sa.Column("created_by", sa.Text(), nullable=True))
    connection = op.get_bind()
    made = connection.execute(sa.text("SELECT at, actor FROM event WHERE kind = 'token_created' AND actor IS NOT NULL"))
    for at, actor in made.all():
        note = sa.text("UPDATE api_token SET created_by = :actor WHERE created_at = :at AND created_by IS NULL")
        connection.execute(note, {"actor": actor, "at": at})
