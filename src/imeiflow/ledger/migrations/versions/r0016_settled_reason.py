"""Keep what is left of the reason for which a job stands once nothing of it is unconfirmed."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("settled_reason", sa.Text(), nullable=True))
    op.execute(sa.text("UPDATE job SET settled_reason = reason"))
