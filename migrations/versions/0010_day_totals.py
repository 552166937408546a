"""Day cells once more by one dimension at a time, made of those that are there."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

KEYS = ("zone", "dimension", "day", "value", "reason", "outcome")
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
# value of each dimension, in the order of its code, and the cells that know it
DIMENSIONS = (
    ("0", "usage_days"),
    ("model", "usage_days"),
    ("provider", "usage_days"),
    ("app", "usage_days"),
    ("key", "usage_days"),
    ("user", "user_days"),
)


def upgrade() -> None:
    op.create_table(
        "day_totals",
        *(sa.Column(key, sa.Integer, nullable=False) for key in KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint(*KEYS),
        sqlite_with_rowid=False,
    )
    summed = ", ".join(f"sum({name})" for name in SUMS)
    for code, (value, table) in enumerate(DIMENSIONS):
        column = value if value == "0" else f'"{value}"'
        op.execute(
            f"INSERT INTO day_totals SELECT zone, {code}, day, {column}, reason, outcome, {summed}"
            f" FROM {table} GROUP BY 1, 3, 4, 5, 6"
        )
