"""Keep orders that are about a file or a service's own fields, beside those about an IMEI."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("job", sa.Column("kind", sa.String(length=8), nullable=False, server_default="imei"))
    op.create_table(
        "order_item",
        sa.Column("order_id", _ID, autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("fields", sa.Text(), nullable=True),
        sa.CheckConstraint("(file_name IS NULL) = (content IS NULL)", name=op.f("ck_order_item_content")),
        sa.CheckConstraint("(fields IS NULL) != (content IS NULL)", name=op.f("ck_order_item_fields")),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_item_order_id")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_item")),
    )
    op.create_index("ix_order_item_digest", "order_item", ["digest"], unique=False)
