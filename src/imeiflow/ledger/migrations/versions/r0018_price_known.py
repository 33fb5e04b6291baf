"""Let a change of a price know since when it may have been in force: when the list before it was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("service_price", sa.Column("known_at", sa.BigInteger()))
