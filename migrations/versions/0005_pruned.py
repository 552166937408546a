"""What is kept of pruned calls: their sums by day, and digests by which they are known again."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
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
    "video_in_tokens",
    "cache_read_audio_tokens",
    "cache_read_image_tokens",
    "cache_read_video_tokens",
    "web_searches",
    "server_tool_calls",
    "tool_calls",
    "requests",
)
DAY_KEYS = ("zone", "day", "model", "provider", "app", "key", "price", "reason", "outcome")
HEALTH_KEYS = ("grain", "bucket", "model", "provider")
HEALTH_COUNTS = (
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
    sums = ("calls", *METERS, "cost", "reported_calls", "reported_cost")
    op.create_table(
        "pruned_days",
        *(sa.Column(key, sa.Integer, nullable=False) for key in DAY_KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in sums),
        sa.PrimaryKeyConstraint(*DAY_KEYS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pruned_health",
        *(sa.Column(key, sa.Integer, nullable=False) for key in HEALTH_KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in HEALTH_COUNTS),
        *(sa.Column(name, sa.LargeBinary) for name in ("latency", "first_token", "throughput")),
        sa.PrimaryKeyConstraint(*HEALTH_KEYS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identities",
        sa.Column("digest", sa.BigInteger, nullable=False),
        sa.Column("minute", sa.Integer, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("digest", "minute"),
        sqlite_with_rowid=False,
    )
