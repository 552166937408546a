"""Health cells in the order of time and provider, so that those of a provider's bucket are read in one piece."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KEYS = ("grain", "bucket", "model", "provider")
ORDER = ("grain", "bucket", "provider", "model")
COUNTS = (
    "ok",
    "provider_fault",
    "rate_limited",
    "other",
    "first_ok",
    "first_fault",
    "first_limited",
    "last_ok",
    "last_fault",
    "last_limited",
    "probe_ok",
    "probe_fault",
)


def upgrade() -> None:
    op.create_table(
        "health_in_order",
        *(sa.Column(key, sa.Integer, nullable=False) for key in KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in COUNTS),
        *(sa.Column(name, sa.LargeBinary) for name in ("latency", "first_token", "throughput")),
        sa.PrimaryKeyConstraint(*ORDER),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO health_in_order SELECT * FROM health ORDER BY {', '.join(ORDER)}")
    op.drop_table("health")
    op.rename_table("health_in_order", "health")
