"""What providers say in sums, price lists that were pulled, incidents of status pages."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

METERS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_in_tokens",
    "audio_out_tokens",
    "image_in_tokens",
    "image_out_tokens",
    "images_in",
    "images_out",
)


def upgrade() -> None:
    op.create_table(
        "provider_sums",
        *(sa.Column(key, sa.Integer if key == "day" else sa.Text, nullable=False) for key in SUM_KEYS),
        sa.Column("requests", sa.BigInteger),
        *(sa.Column(meter, sa.BigInteger) for meter in METERS),
        sa.Column("cost", sa.BigInteger),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(*SUM_KEYS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pulled_prices",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        sa.Column("sets", sa.Text, nullable=False),
        sa.Column("changes", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("decided_at", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "incidents",
        *(sa.Column(name, sa.Text, nullable=False) for name in INCIDENT_TEXTS),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("read_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("page", "id"),
        sqlite_with_rowid=False,
    )


SUM_KEYS = ("source", "day", "provider", "model", "key", "line")
INCIDENT_TEXTS = ("page", "id", "provider", "name", "impact", "status", "url")
