"""Closed months: what was handed out, for ever, and what has been booked of every usage day."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SUMS = (
    "calls",
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
    "cost",
    "reported_calls",
    "reported_cost",
)
KEYS = ("close", "day", "model", "provider", "app", "key", "price", "reason")


def upgrade() -> None:
    op.create_table(
        "closes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("month", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("first_day", sa.Integer, nullable=False),
        sa.Column("end_day", sa.Integer, nullable=False),
        sa.Column("closed_at", sa.BigInteger, nullable=False),
        sa.Column("closed_by", sa.Integer, nullable=False),
        sa.Column("reopened_at", sa.BigInteger),
        sa.Column("reopened_by", sa.Integer),
        sa.Column("reopened_why", sa.Integer),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "closed_files",
        sa.Column("close", sa.Integer, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("manifest", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("close", "format"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "closed_pieces",
        sa.Column("close", sa.Integer, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("close", "format", "n"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "booked",
        *(sa.Column(name, sa.Integer, nullable=False, autoincrement=False) for name in KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint(*KEYS),
        sqlite_with_rowid=False,
    )
