"""The first tables and the two views of the contract."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

COMMON_METERS = (
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
SPARSE_METERS = (
    "video_in_tokens",
    "cache_read_audio_tokens",
    "cache_read_image_tokens",
    "cache_read_video_tokens",
    "web_searches",
    "server_tool_calls",
    "tool_calls",
    "requests",
)


def upgrade() -> None:
    _create_books()
    _create_records()
    _create_cells()
    op.execute(V_CALLS)
    op.execute(V_ATTEMPTS)


def _create_records() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("batch", sa.Integer, nullable=False),
        sa.Column("source", sa.Integer, nullable=False),
        sa.Column("origin_id", sa.Text),
        sa.Column("origin_key", sa.BigInteger),
        sa.Column("operation", sa.Integer, nullable=False),
        sa.Column("model", sa.Integer),
        sa.Column("served_model", sa.Integer),
        sa.Column("provider", sa.Integer),
        sa.Column("app", sa.Integer),
        sa.Column("key", sa.Integer),
        sa.Column("user", sa.Integer),
        sa.Column("session", sa.Integer),
        sa.Column("tags", sa.Integer),
        sa.Column("streamed", sa.SmallInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("http_status", sa.SmallInteger),
        sa.Column("error_type", sa.Integer),
        sa.Column("finish_reason", sa.Integer),
        sa.Column("native_finish_reason", sa.Integer),
        sa.Column("latency_ms", sa.BigInteger),
        sa.Column("first_token_ms", sa.BigInteger),
        sa.Column("quality", sa.SmallInteger, nullable=False),
        sa.Column("usage_problem", sa.Text),
        sa.Column("service_tier", sa.Integer),
        *(sa.Column(name, sa.BigInteger) for name in COMMON_METERS),
        sa.Column("sparse", sa.Text),
        sa.Column("price", sa.Integer),
        sa.Column("unpriced_reason", sa.Integer),
        sa.Column("cost", sa.BigInteger),
        sa.Column("original_cost", sa.BigInteger),
        sa.Column("cost_stated", sa.SmallInteger),
        sa.Column("reported_cost", sa.BigInteger),
        sa.Column("attempts", sa.SmallInteger, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "attempts",
        sa.Column("call_id", sa.LargeBinary(16), nullable=False),
        sa.Column("n", sa.SmallInteger, nullable=False),
        sa.Column("probe", sa.SmallInteger, nullable=False),
        sa.Column("provider", sa.Integer, nullable=False),
        sa.Column("model", sa.Integer, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("http_status", sa.SmallInteger),
        sa.Column("error_type", sa.Integer),
        sa.Column("latency_ms", sa.BigInteger),
        sa.Column("first_token_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("call_id", "n"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "witnesses",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("source", sa.Integer, nullable=False),
        sa.Column("call_id", sa.LargeBinary(16), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", "source"),
        sqlite_with_rowid=False,
    )
    op.create_index("calls_started_at", "calls", ["started_at"])
    op.create_index("calls_origin_key", "calls", ["origin_key"])
    op.create_index("witnesses_call_id", "witnesses", ["call_id"])


def _create_cells() -> None:
    _create_usage_cells("usage_quarters", "quarter", "model", "provider", "app", "key", "price", "reason", "outcome")
    _create_usage_cells("usage_days", "zone", "day", "model", "provider", "app", "key", "price", "reason", "outcome")
    _create_usage_cells("user_days", "zone", "day", "user", "model", "provider", "price", "reason", "outcome")
    op.create_table(
        "health",
        sa.Column("grain", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("bucket", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("model", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("provider", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("ok", sa.BigInteger, nullable=False),
        sa.Column("provider_fault", sa.BigInteger, nullable=False),
        sa.Column("rate_limited", sa.BigInteger, nullable=False),
        sa.Column("other", sa.BigInteger, nullable=False),
        sa.Column("first_ok", sa.BigInteger, nullable=False),
        sa.Column("first_fault", sa.BigInteger, nullable=False),
        sa.Column("first_limited", sa.BigInteger, nullable=False),
        sa.Column("last_ok", sa.BigInteger, nullable=False),
        sa.Column("last_fault", sa.BigInteger, nullable=False),
        sa.Column("last_limited", sa.BigInteger, nullable=False),
        sa.Column("probe_ok", sa.BigInteger, nullable=False),
        sa.Column("probe_fault", sa.BigInteger, nullable=False),
        sa.Column("latency", sa.LargeBinary()),
        sa.Column("first_token", sa.LargeBinary()),
        sa.Column("throughput", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("grain", "bucket", "model", "provider"),
        sqlite_with_rowid=False,
    )


def _create_books() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "names",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "name"),
    )
    op.create_table(
        "price_sets",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("stored_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("source", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("accepted", sa.BigInteger, nullable=False),
        sa.Column("stored", sa.BigInteger, nullable=False),
        sa.Column("merged", sa.BigInteger, nullable=False),
        sa.Column("rejected", sa.BigInteger, nullable=False),
        sa.Column("missing", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "open_calls",
        sa.Column("call_id", sa.LargeBinary(16), nullable=False),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rejects",
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("line", sa.Integer),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("segment", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "uncounted",
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("segment", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "job_runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("rows", sa.BigInteger),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id"),
    )


def _create_usage_cells(name: str, *keys: str) -> None:
    sums = ("calls", *COMMON_METERS, *SPARSE_METERS, "cost", "reported_calls", "reported_cost")
    op.create_table(
        name,
        *(sa.Column(key, sa.Integer, nullable=False) for key in keys),
        *(sa.Column(each, sa.BigInteger, nullable=False) for each in sums),
        sa.PrimaryKeyConstraint(*keys),
        sqlite_with_rowid=False,
    )


def _name(column: str) -> str:
    return f"(SELECT name FROM names WHERE id = {column})"


def _instant(column: str) -> str:
    seconds = f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch')"
    return f"{seconds} || printf('.%06dZ', {column} % 1000000)"


def _usd(column: str) -> str:
    """Exact decimal text of picodollars, by integers alone; NULL stays NULL."""
    digits = f"printf('%d.%012d', abs({column}) / 1000000000000, abs({column}) % 1000000000000)"
    return f"iif({column} < 0, '-', '') || rtrim(rtrim({digits}, '0'), '.') || iif({column} IS NULL, NULL, '')"


def _word(column: str, words: tuple[str, ...]) -> str:
    cases = " ".join(f"WHEN {code} THEN '{word}'" for code, word in enumerate(words, start=1))
    return f"CASE {column} {cases} END"


OUTCOMES = (
    "ok",
    "provider_fault",
    "rate_limited",
    "caller_fault",
    "refused",
    "cancelled",
    "interrupted",
    "unknown",
)
QUALITIES = ("exact", "partial", "estimated", "none")

V_CALLS = f"""
CREATE VIEW v_calls AS
SELECT
    lower(hex(c.id)) AS id,
    {_instant("c.started_at")} AS started_at,
    {_name("c.source")} AS source,
    c.origin_id AS origin_id,
    {_name("c.operation")} AS operation,
    {_name("c.model")} AS model,
    {_name("c.served_model")} AS served_model,
    {_name("c.provider")} AS provider,
    {_name("c.app")} AS app,
    {_name("c.key")} AS key,
    {_name('c."user"')} AS user,
    c.streamed AS streamed,
    {_word("c.outcome", OUTCOMES)} AS outcome,
    c.http_status AS http_status,
    {_name("c.error_type")} AS error_type,
    {_name("c.finish_reason")} AS finish_reason,
    c.attempts AS attempts,
    c.latency_ms AS latency_ms,
    c.first_token_ms AS first_token_ms,
    {", ".join(f"c.{meter} AS {meter}" for meter in COMMON_METERS)},
    {_word("c.quality", QUALITIES)} AS usage_quality,
    c.cost AS cost_picousd,
    {_usd("c.cost")} AS cost_usd,
    coalesce(c.original_cost, c.cost) AS original_cost_picousd,
    {_name("c.unpriced_reason")} AS unpriced_reason,
    c.reported_cost AS reported_cost_picousd,
    (SELECT digest FROM price_sets WHERE id = c.price) AS price_id
FROM calls AS c
"""

# A call's only attempt lives in its row, unless it says something that the row does not.
V_ATTEMPTS = f"""
CREATE VIEW v_attempts AS
SELECT
    lower(hex(a.call_id)) AS call_id,
    a.n AS n,
    {_name("a.provider")} AS provider,
    {_name("a.model")} AS model,
    {_instant("a.started_at")} AS started_at,
    {_word("a.outcome", OUTCOMES)} AS outcome,
    a.http_status AS http_status,
    {_name("a.error_type")} AS error_type,
    a.latency_ms AS latency_ms,
    a.first_token_ms AS first_token_ms,
    a.probe AS probe
FROM attempts AS a
UNION ALL
SELECT
    lower(hex(c.id)),
    1,
    {_name("c.provider")},
    {_name("c.model")},
    {_instant("c.started_at")},
    {_word("c.outcome", OUTCOMES)},
    c.http_status,
    {_name("c.error_type")},
    c.latency_ms,
    c.first_token_ms,
    0
FROM calls AS c
WHERE c.attempts = 1 AND NOT EXISTS (SELECT 1 FROM attempts AS a WHERE a.call_id = c.id)
"""
