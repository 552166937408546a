"""Users once more, with the little that ranks them, made of the totals that are there."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

KEYS = ("zone", "block", "user", "day")
TOKENS_IN = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "audio_in_tokens",
    "image_in_tokens",
    "video_in_tokens",
    "cache_read_audio_tokens",
    "cache_read_image_tokens",
    "cache_read_video_tokens",
)
TOKENS_OUT = ("output_tokens", "reasoning_tokens", "audio_out_tokens", "image_out_tokens")
SUMS = {
    "calls": "calls",
    "unpriced_calls": "CASE WHEN reason != 0 THEN calls ELSE 0 END",
    "tokens_in": " + ".join(TOKENS_IN),
    "tokens_out": " + ".join(TOKENS_OUT),
    "cost": "cost",
}
USERS = 5  # the code of the dimension


def upgrade() -> None:
    op.create_table(
        "user_totals",
        *(sa.Column(key, sa.Integer, nullable=False) for key in KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in SUMS),
        sa.PrimaryKeyConstraint(*KEYS),
        sqlite_with_rowid=False,
    )
    summed = ", ".join(f"sum({sql})" for sql in SUMS.values())
    op.execute(
        f"INSERT INTO user_totals SELECT zone, day / 32, value, day, {summed} FROM day_totals"
        f" WHERE dimension = {USERS} GROUP BY 1, 2, 3, 4"
    )
