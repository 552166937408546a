"""The ledger's tables. Names are ids into `names`; 0 in a cell's key means "none"; NULL in a call means "not stated".

Instants are microseconds UTC, money picodollars, ids 16 bytes. The views of the contract are made in migrations.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from collector.core.meters import COMMON_METERS, METERS

metadata = MetaData()


def _meters(names: tuple[str, ...] | list[str], *, nullable: bool = True) -> list[Column[int]]:
    return [Column(METERS[name].column, BigInteger, nullable=nullable) for name in names]


meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

names = Table(
    "names",
    metadata,
    Column("id", Integer, primary_key=True),
    Column(
        "kind", Text, nullable=False
    ),  # model, provider, app, key, user, session, tags, plan, source, operation, zone, ...
    Column("name", Text, nullable=False),
    Column("label", Text),  # what a screen shows for it, such as an app's title
    UniqueConstraint("kind", "name"),
)

price_sets = Table(
    "price_sets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),  # the price id that users see
    Column("body", Text, nullable=False),  # the set's canonical JSON
)

batches = Table(
    "batches",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("stored_at", BigInteger, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("source", Integer, nullable=False),
    Column("origin_id", Text),
    Column("origin_key", BigInteger),  # 63 bits of the digest of provider and origin id
    Column("operation", Integer, nullable=False),
    Column("model", Integer),
    Column("served_model", Integer),
    Column("provider", Integer),
    Column("app", Integer),
    Column("key", Integer),
    Column("user", Integer),
    Column("session", Integer),
    Column("tags", Integer),  # a name of kind tags: canonical JSON of the labels
    Column("streamed", SmallInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("http_status", SmallInteger),
    Column("error_type", Integer),
    Column("finish_reason", Integer),
    Column("native_finish_reason", Integer),
    Column("latency_ms", BigInteger),
    Column("first_token_ms", BigInteger),
    Column("quality", SmallInteger, nullable=False),
    Column("usage_problem", Text),
    Column("service_tier", Integer),
    *_meters(COMMON_METERS),
    Column("sparse", Text),  # JSON of the other meters
    Column("price", Integer),  # price_sets.id
    Column("unpriced_reason", Integer),
    Column("cost", BigInteger),
    Column("original_cost", BigInteger),  # NULL while it is the cost
    Column("cost_stated", SmallInteger),  # 1: cost, price and reason came with the call; NULL: priced here
    Column("reported_cost", BigInteger),
    Column("attempts", SmallInteger, nullable=False),
    Column("plan", Integer),  # a name of kind plan: canonical JSON of the gateway's plan
    Column("own_key_cost", BigInteger),  # of reported_cost, what an own key paid upstream; NULL: no own key
    sqlite_with_rowid=False,
)
Index("calls_started_at", calls.c.started_at)
Index("calls_origin_key", calls.c.origin_key)
_HAS_OWN_KEY = calls.c.own_key_cost.is_not(None)
Index("calls_own_key", calls.c.started_at, sqlite_where=_HAS_OWN_KEY, postgresql_where=_HAS_OWN_KEY)

attempts = Table(
    "attempts",
    metadata,
    Column("call_id", LargeBinary(16), primary_key=True),  # a probe's own id for a probe
    Column("n", SmallInteger, primary_key=True),
    Column("probe", SmallInteger, nullable=False),
    Column("provider", Integer, nullable=False),
    Column("model", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("http_status", SmallInteger),
    Column("error_type", Integer),
    Column("latency_ms", BigInteger),
    Column("first_token_ms", BigInteger),
    sqlite_with_rowid=False,
)

# Only for calls that more than one record told of; a lone record is its row.
witnesses = Table(
    "witnesses",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),  # as that source named the call
    Column("source", Integer, primary_key=True),
    Column("call_id", LargeBinary(16), nullable=False),
    Column("record", LargeBinary, nullable=False),  # the call as that source told it
    sqlite_with_rowid=False,
)
Index("witnesses_call_id", witnesses.c.call_id)


# Written by `reprice` alone. What is not superseded leads, link by link, from the first cost of a call to its last.
adjustments = Table(
    "adjustments",
    metadata,
    Column("call_id", LargeBinary(16), primary_key=True),
    Column("n", SmallInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("batch", Integer, nullable=False),
    Column("who", Integer, nullable=False),  # a name of kind who: the user of the system
    Column("why", Integer, nullable=False),  # a name of kind why
    Column("old_cost", BigInteger),  # NULL: unpriced
    Column("new_cost", BigInteger),
    Column("old_price", Integer),  # price_sets.id
    Column("new_price", Integer),
    Column("old_reason", Integer),  # why there was no cost
    Column("new_reason", Integer),
    Column("old_stated", SmallInteger),  # 1: the old cost had come with the call
    Column("superseded", Integer),  # the batch that brought a better record of the call, charged anew
    sqlite_with_rowid=False,
)
Index("adjustments_at", adjustments.c.at)


def _cell(name: str, *keys: str) -> Table:
    return Table(
        name,
        metadata,
        *(Column(key, Integer, primary_key=True, autoincrement=False) for key in keys),
        Column("calls", BigInteger, nullable=False),
        *_meters(list(METERS), nullable=False),
        Column("cost", BigInteger, nullable=False),
        Column("reported_calls", BigInteger, nullable=False),
        Column("reported_cost", BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )


# quarter: seconds since 1970 divided by 900; day: days since 1970 in the zone; price and reason: one of them is 0.
usage_quarters = _cell("usage_quarters", "quarter", "model", "provider", "app", "key", "price", "reason", "outcome")
usage_days = _cell("usage_days", "zone", "day", "model", "provider", "app", "key", "price", "reason", "outcome")
user_days = _cell("user_days", "zone", "day", "user", "model", "provider", "price", "reason", "outcome")

# Day cells once more without app, key and outcome: what line items are made of. unpriced: 1 where there is a reason.
price_days = _cell("price_days", "zone", "day", "price", "unpriced", "provider", "model")

# Day cells once more, by one dimension of these at a time, whose id is `value`: most screens ask for no more.
DIMENSION_CODES = {"": 0, "model": 1, "provider": 2, "app": 3, "key": 4, "user": 5}
day_totals = _cell("day_totals", "zone", "dimension", "day", "value", "reason", "outcome")

# Users once more, with the little that ranks them, in spans of so many days, each of which begins at a multiple of its
# length. The cost is whole microdollars and what exceeds them: in picodollars alone it may be more than 64 bits hold.
USER_SPANS = (1, 8)
USER_SUMS = ("calls", "unpriced_calls", "tokens_in", "tokens_out", "microdollars", "picodollars")
user_spans = Table(
    "user_spans",
    metadata,
    *(Column(key, Integer, primary_key=True, autoincrement=False) for key in ("zone", "days", "day", "user")),
    *(Column(name, BigInteger, nullable=False) for name in USER_SUMS),
    sqlite_with_rowid=False,
)

# Months that were closed, once more each time that one is closed again after it was reopened.
closes = Table(
    "closes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("month", Text, nullable=False),  # such as 2026-10
    Column("zone", Text, nullable=False),  # the same in every row
    Column("first_day", Integer, nullable=False),  # days since 1970 in the zone
    Column("end_day", Integer, nullable=False),  # not part of it
    Column("closed_at", BigInteger, nullable=False),
    Column("closed_by", Integer, nullable=False),  # a name of kind who
    Column("reopened_at", BigInteger),  # NULL: it is closed
    Column("reopened_by", Integer),
    Column("reopened_why", Integer),  # a name of kind why
)

# What a close handed out, for ever: the file in compressed pieces, and the manifest as it was written.
closed_files = Table(
    "closed_files",
    metadata,
    Column("close", Integer, primary_key=True),
    Column("format", Text, primary_key=True),
    Column("manifest", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
closed_pieces = Table(
    "closed_pieces",
    metadata,
    Column("close", Integer, primary_key=True),
    Column("format", Text, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),  # zlib
    sqlite_with_rowid=False,
)

# What each close that holds added to what was booked before it; day is the usage day in the closing zone. Rows of close
# 0 are what was there before the first closed month. The sum over all closes is what is booked.
booked = _cell("booked", "close", "day", "model", "provider", "app", "key", "price", "reason")

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


def _health(name: str, *order: str) -> Table:
    return Table(
        name,
        metadata,
        *(Column(key, Integer, nullable=False) for key in HEALTH_KEYS),
        *(Column(count, BigInteger, nullable=False) for count in HEALTH_COUNTS),
        Column("latency", LargeBinary),  # log-bucket histograms, see core.histograms
        Column("first_token", LargeBinary),
        Column("throughput", LargeBinary),
        PrimaryKeyConstraint(*order),
        sqlite_with_rowid=False,
    )


# grain: 0 five minutes, 1 hours, or the names.id of a declared zone (then bucket is a day).
# Attempts count at their own provider and model; a call's first and last outcome at that attempt's provider.
HEALTH_KEYS = ("grain", "bucket", "model", "provider")
health = _health("health", "grain", "bucket", "provider", "model")

# What pruned calls and probes had added to the day cells in UTC: rows + pruned = cells.
pruned_days = _cell("pruned_days", "zone", "day", "model", "provider", "app", "key", "price", "reason", "outcome")
pruned_health = _health("pruned_health", *HEALTH_KEYS)

# Pruned records that would be known again: 63 bits of the digest of an id, or of provider and origin id (origin_key).
identities = Table(
    "identities",
    metadata,
    Column("digest", BigInteger, primary_key=True, autoincrement=False),
    Column("minute", Integer, primary_key=True, autoincrement=False),  # since 1970, of the call's start
    Column("day", Integer, nullable=False),  # since 1970 UTC, on which it was pruned
    sqlite_with_rowid=False,
)

segments = Table(
    "segments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("source", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),  # bytes of the file that are in the ledger
    Column("accepted", BigInteger, nullable=False),  # calls that the writer says it took up to there
    Column("stored", BigInteger, nullable=False),
    Column("merged", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False),  # accepted, but the line that told of them is unreadable
    Column("ended_at", BigInteger),  # when its last byte was in the ledger and its writer gone
)

open_calls = Table(
    "open_calls",
    metadata,
    Column("call_id", LargeBinary(16), primary_key=True),
    Column("segment", Integer, nullable=False),
    Column("record", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

rejects = Table(
    "rejects",
    metadata,
    Column("segment", Integer, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("line", Integer),  # of the file it came from, when it came from one
    Column("reason", Text, nullable=False),
    Column("text", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Calls that were let pass while the journal had no room: in no other table and in no sum.
uncounted = Table(
    "uncounted",
    metadata,
    Column("segment", Integer, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("calls", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What providers say in sums: kept apart, in no cell, never usage or spend. '' in a key means "not by this".
provider_sums = Table(
    "provider_sums",
    metadata,
    Column("source", Text, primary_key=True),  # the name of the pull
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since 1970 UTC
    Column("provider", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("line", Text, primary_key=True),
    Column("requests", BigInteger),
    *_meters(COMMON_METERS),
    Column("cost", BigInteger),
    Column("read_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What invoices say, entered by hand; never part of usage or spend.
invoices = Table(
    "invoices",
    metadata,
    Column("provider", Text, primary_key=True),
    Column("first_day", Integer, primary_key=True, autoincrement=False),  # days since 1970 UTC
    Column("end_day", Integer, primary_key=True, autoincrement=False),  # not part of it
    Column("model", Text, primary_key=True),  # "": all
    Column("kind", Text, primary_key=True),  # usage, fee, tax, credit
    Column("invoice_id", Text, primary_key=True),
    Column("usd", Text, nullable=False),  # exact decimal text: an invoice may be more than 64 bits of picodollars hold
    Column("entered_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Files that were delivered to the folder of [finance], each time that one was.
delivered_files = Table(
    "delivered_files",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("delivered_at", BigInteger, nullable=False),
    Column("file", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("usd", Text, nullable=False),  # exact decimal text
    Column("state", Text, nullable=False),  # of a month: open or closed; of a day: ""
)
Index("delivered_files_file", delivered_files.c.file)

pulled_prices = Table(
    "pulled_prices",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("read_at", BigInteger, nullable=False),
    Column("sets", Text, nullable=False),  # JSON: price sets in their plain form; []: not listed any more
    Column("changes", Text, nullable=False),  # JSON: sentences
    Column("state", Text, nullable=False),  # one of core.told.STATES
    Column("why", Text, nullable=False),
    Column("decided_at", BigInteger),  # when somebody accepted or declined it
    sqlite_with_rowid=False,
)

incidents = Table(
    "incidents",
    metadata,
    Column("page", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("provider", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("impact", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("read_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("level", Text, nullable=False),
    Column("text", Text, nullable=False),  # as last found
    Column("began_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # NULL: it lasts
)
Index("alerts_rule", alerts.c.rule, alerts.c.ended_at)

deliveries = Table(
    "deliveries",
    metadata,
    Column("alert", Integer, primary_key=True),
    Column("event", Text, primary_key=True),  # fired, recovered
    Column("channel", Text, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),  # NULL: it waits, or was given up
    Column("error", Text),  # why the last try failed
    sqlite_with_rowid=False,
)

silences = Table(
    "silences",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", Text, nullable=False),
    Column("subject", Text, nullable=False),  # '': whatever subject
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("rows", BigInteger),
    Column("error", Text),
)
