"""What an own key paid upstream of a call, behind a router that says so; NULL in the calls that are there."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("own_key_cost", sa.BigInteger))
    stated = sa.text("own_key_cost IS NOT NULL")
    op.create_index("calls_own_key", "calls", ["started_at"], sqlite_where=stated, postgresql_where=stated)
