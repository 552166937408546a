"""What `reprice` changed of a call's cost: who, when, why, from what to what."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "adjustments",
        sa.Column("call_id", sa.LargeBinary(16), nullable=False),
        sa.Column("n", sa.SmallInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("who", sa.Integer, nullable=False),
        sa.Column("why", sa.Integer, nullable=False),
        sa.Column("old_cost", sa.BigInteger),
        sa.Column("new_cost", sa.BigInteger),
        sa.Column("old_price", sa.Integer),
        sa.Column("new_price", sa.Integer),
        sa.Column("old_reason", sa.Integer),
        sa.Column("new_reason", sa.Integer),
        sa.Column("old_stated", sa.SmallInteger),
        sa.Column("superseded", sa.Integer),
        sa.PrimaryKeyConstraint("call_id", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("adjustments_at", "adjustments", ["at"])
