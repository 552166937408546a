"""What invoices say, entered by hand, to be held against what was metered."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invoices",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("first_day", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("end_day", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("invoice_id", sa.Text, nullable=False),
        sa.Column("usd", sa.Text, nullable=False),
        sa.Column("entered_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("provider", "first_day", "end_day", "model", "kind", "invoice_id"),
        sqlite_with_rowid=False,
    )
