"""Users once more by spans of days, one of them and eight, in place of those by day, made of the totals by user."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

KEYS = ("zone", "days", "day", "user")
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
COUNTS = {
    "calls": "calls",
    "unpriced_calls": "CASE WHEN reason != 0 THEN calls ELSE 0 END",
    "tokens_in": " + ".join(TOKENS_IN),
    "tokens_out": " + ".join(TOKENS_OUT),
}
MICRODOLLAR = 1_000_000  # picodollars
COST = {"microdollars": f"cost / {MICRODOLLAR}", "picodollars": f"cost % {MICRODOLLAR}"}
SPANS = (1, 8)  # days
USERS = 5  # the code of the dimension


def upgrade() -> None:
    op.create_table(
        "user_spans",
        *(sa.Column(key, sa.Integer, nullable=False) for key in KEYS),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in (*COUNTS, *COST)),
        sa.PrimaryKeyConstraint(*KEYS),
        sqlite_with_rowid=False,
    )
    for days in SPANS:
        op.execute(f"INSERT INTO user_spans {_spans(days)}")
    op.drop_table("user_totals", if_exists=True)


def _spans(days: int) -> str:
    """The cost is as many whole microdollars as are not more than it, and 0 or more picodollars."""
    summed = ", ".join(f"sum({sql}) AS {name}" for name, sql in (COUNTS | COST).items())
    carried = f"(picodollars / {MICRODOLLAR} - (picodollars % {MICRODOLLAR} < 0))"
    cost = f"microdollars + {carried}, picodollars - {carried} * {MICRODOLLAR}"
    return (
        f"SELECT zone, {days}, first_day, value, {', '.join(COUNTS)}, {cost} FROM"
        f" (SELECT zone, day / {days} * {days} AS first_day, value, {summed} FROM day_totals"
        f" WHERE dimension = {USERS} GROUP BY 1, 2, 3)"
    )
