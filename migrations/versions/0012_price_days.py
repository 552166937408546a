"""Day cells once more without app, key and outcome, made of those that are there."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

KEYS = ("zone", "day", "price", "unpriced", "provider", "model")
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


def upgrade() -> None:
    op.create_table(
        "price_days",
        *(sa.Column(key, sa.Integer, nullable=False) for key in KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint(*KEYS),
        sqlite_with_rowid=False,
    )
    summed = ", ".join(f"sum({name})" for name in SUMS)
    op.execute(
        f"INSERT INTO price_days SELECT zone, day, price, reason != 0, provider, model, {summed}"
        " FROM usage_days GROUP BY 1, 2, 3, 4, 5, 6"
    )
