"""Keep the price lists of file and server services beside that of IMEI services: the kind tells equal ids apart."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _kind() -> sa.Column[str]:
    return sa.Column("kind", sa.String(8), nullable=False, server_default="imei")


def upgrade() -> None:
    op.add_column("service_price", _kind())
    op.drop_index("ix_service_price_account", "service_price")
    op.create_index("ix_service_price_account", "service_price", ["account", "kind", "service"], unique=False)
    fetched = op.get_bind().execute(sa.text("SELECT account, fetched_at FROM price_list")).all()  # a row an account
    op.drop_table("price_list")
    table = op.create_table(
        "price_list",
        sa.Column("account", sa.Text(), nullable=False),
        _kind(),
        sa.Column("fetched_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "kind", name=op.f("pk_price_list")),
    )
    op.bulk_insert(table, [{"account": row.account, "fetched_at": row.fetched_at} for row in fetched])
