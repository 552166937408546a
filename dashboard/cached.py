"""The only place that asks the ledger: questions, cached for a few seconds, each page's in one snapshot."""

import os
import platform
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import streamlit as st
from sqlalchemy import Engine, Select

from collector.core.budgets import Budget, window
from collector.core.errors import LedgerError, UsageError
from collector.core.periods import Period
from collector.core.selection import Selection
from collector.finance.deliver import log_lines
from collector.finance.explain import Explanation, explain
from collector.finance.overview import Overview, months_of
from collector.finance.paid import Paid, paid_in
from collector.finance.reconcile import Reconciliation, reconcile
from collector.finance.why_total import Total, why_total
from collector.ledger.engines import ledger_path, open_ledger
from collector.ledger.questions import (
    about,
    ask,
    booked,
    calls,
    failures,
    filters,
    items,
    jobs,
    latency,
    prices,
    pulled,
    spend,
    trouble,
    unpriced,
    uptime,
    usage,
)
from collector.ledger.questions import alerts as told
from collector.ledger.questions import rejects as rejected
from collector.ledger.questions.books import Account, Tails, account
from collector.ledger.questions.endings import ANY, Ending
from collector.ledger.questions.incidents import incidents_in
from collector.ledger.questions.offers import Catalog
from collector.ledger.questions.waiting import Waiting, waiting
from collector.settings import GATEWAY_URL, Finance, Limits, Settings, load_settings
from dashboard.frames.alerts import Spent

FRESH_S = 5
CATALOG_S = 300
MONTHS_US = 60_000_000
BOOKS_S = 20  # they read the journal on
BOOKS_BYTES = 1 << 24  # of it
NEWEST_REJECTS = 100
MOST_LEADERS = 100  # of a long ranking
PAGE_CALLS = 50
WAITING_BYTES = 1 << 20  # of the journal, read to count what is not in the ledger yet
bucket_for = uptime.bucket_for


def outage_bucket(period: Period) -> str:
    """How finely outages are looked for: by five minutes up to three days, then by the hour."""
    return "5m" if bucket_for(period) != "day" else "1h"


Builder = Callable[[Selection, Period, frozenset[str], Limits], Select[Any]]
QUESTIONS: dict[str, Builder] = {
    "tokens": usage.tokens_per_day,
    "images": usage.images_per_day,
    "spend": spend.spend_per_day,
    "spend_of_more": lambda selection, period, zones, limits: spend.spend_per_day(
        selection, period, zones, limits, MOST_LEADERS
    ),
    "unpriced": spend.unpriced_per_day,
    "outcomes": usage.outcomes_per_day,
    "names": usage.used_by_name,
    "providers": lambda selection, period, zones, _: uptime.provider_uptime(
        selection, period, zones, bucket_for(period)
    ),
    "status": lambda selection, period, zones, _: uptime.provider_uptime(selection, period, zones, "5m"),
    "speed": lambda selection, period, zones, _: latency.cells_of(selection, period, zones, bucket_for(period)),
    "outages": lambda selection, period, zones, _: uptime.outage_buckets(
        selection, period, zones, outage_bucket(period)
    ),
    "errors": lambda selection, period, _, limits: failures.error_types(selection, period, limits),
    "prices": lambda selection, period, zones, _: items.quantities_by_price(selection, period, zones),
    "by_price": lambda selection, period, zones, _: items.sums_in_no_order(
        selection, period, zones, ["model", "provider"]
    ),
    "trouble": trouble.cost_by_outcome,
    "retried": trouble.retried,
    "queue": unpriced.queue,
    "router": lambda selection, period, zones, _: uptime.router_uptime(selection, period, zones, bucket_for(period)),
}


class Answer(msgspec.Struct, frozen=True):
    """The rows of a question, or the sentence that says why it cannot be answered for this selection."""

    rows: list[Any] = []
    refusal: str = ""


def now_us() -> int:
    """The clock of the dashboard, the one place that reads it."""
    return time.time_ns() // 1_000


def today() -> date:
    """The UTC date of now."""
    return datetime.fromtimestamp(now_us() // 1_000_000, UTC).date()


def settings() -> Settings:
    """The settings that the environment names; `serve` sets it."""
    return load_settings()


def gateway_url(its: Settings) -> str:
    """The gateway's address for its clients, as the settings state it or the supervisor knows it; "" when unknown."""
    return its.dashboard.gateway_url or os.environ.get(GATEWAY_URL, "")


def is_absent(url: str) -> bool:
    """Whether there is no ledger at an address yet."""
    path = ledger_path(url)
    return path is not None and not path.exists()


def why_closed(url: str) -> str:
    """Why the ledger cannot be read, in one sentence; "" when it can."""
    try:
        engine(url)
    except LedgerError as error:
        return str(error)
    return ""


def engine(url: str) -> Engine:
    """The ledger at an address, open for reading. Raises LedgerError when it cannot be read."""
    return _engine(url, _identity(url))


def zones(its: Engine) -> frozenset[str]:
    """The zones that the ledger keeps day cells for."""
    return ask.declared_zones(its)


def answers(names: tuple[str, ...], selection: Selection, period: Period, its: Settings) -> dict[str, Answer]:
    """The answers to several of QUESTIONS, all from one snapshot of the ledger, at most FRESH_S seconds old."""
    return _answers(its.ledger_url, _identity(its.ledger_url), names, selection, period, its.limits)


def names(dimension: str, url: str) -> list[str]:
    """The first names of a dimension, for a filter list."""
    return _names(dimension, url, _identity(url))


def call_page(
    selection: Selection, period: Period, its: Settings, before: tuple[int, str] | None, ending: Ending = ANY
) -> Answer:
    """PAGE_CALLS calls of a period and one more if there is one, newest first, before the one that `before` names."""
    try:
        question = calls.page(selection, period, before, PAGE_CALLS + 1, ending)
    except UsageError as error:
        return Answer(refusal=str(error))
    return Answer(ask.rows(engine(its.ledger_url), question))


def cost_of(ending: Ending, selection: Selection, period: Period, its: Settings) -> Answer:
    """The calls of a period that ended in some way and what they cost, by day and outcome."""
    if ending.is_read_from_rows:
        return _cost_of(its.ledger_url, _identity(its.ledger_url), ending, selection, period, its.limits)
    whole = answers(("trouble",), selection, period, its)["trouble"]
    kept = [row for row in whole.rows if not ending.outcomes or row.outcome in ending.outcomes]
    return Answer(kept, whole.refusal)


def explained(call_id: str, its: Settings) -> Explanation:
    """All that is known of a call, and why it costs what it costs.

    Raises UsageError for what is not the id of a call, InputError for a call that the ledger does not have.
    """
    return explain(engine(its.ledger_url), its, call_id, today())


def why(selection: Selection, period: Period, its: Settings) -> Total:
    """The parts of the spend of a selection, which add up to it, at most FRESH_S seconds old."""
    return _why(its.ledger_url, _identity(its.ledger_url), selection, period, today())


def hit_by(provider: str, start_us: int, end_us: int, url: str) -> tuple[int, int]:
    """How many calls a provider's outage hit, and how many of them ended ok elsewhere."""
    return _hit_by(url, _identity(url), provider, start_us, end_us)


def price_bodies(digests: frozenset[str], url: str) -> dict[str, str]:
    """The JSON of price sets by digest."""
    return _price_bodies(url, _identity(url), digests)


def catalog(its: Settings) -> Catalog:
    """Cards, endpoints and list prices; read anew when a file or a pulled price changed, and once in CATALOG_S."""
    files = (its.config_path, its.data_dir / "prices.toml")
    changed = tuple(path.stat().st_mtime_ns if path and path.exists() else 0 for path in files)
    stamps = (*changed, pulled.stamp(engine(its.ledger_url)))
    return _catalog(its, str(its.data_dir), str(its.config_path), stamps)


def not_booked(its: Settings) -> Waiting:
    """The calls that are running, and those that the journal holds and the ledger does not yet."""
    return _not_booked(its.ledger_url, _identity(its.ledger_url), str(its.journal_dir))


def accounts(its: Settings) -> list[Account]:
    """What became of every accepted call, by source."""
    return _accounts(its.ledger_url, _identity(its.ledger_url), str(its.journal_dir))


def months(its: Settings) -> Overview:
    """The months of the ledger: what each used and books."""
    return _months(its.ledger_url, _identity(its.ledger_url), its.zone, now_us() // MONTHS_US)


def paid(its: Settings, period: Period) -> Paid:
    """The flat plans and prepaid credits of [finance], for a period."""
    return _paid(its.ledger_url, _identity(its.ledger_url), its.finance, period)


def closes(url: str) -> list[Any]:
    """Every close there was, oldest first."""
    return ask.rows(engine(url), booked.history())


def compared(its: Settings, first_day: int, end_day: int) -> Reconciliation:
    """The books of some UTC days held against what providers and invoices say."""
    return _compared(its, its.ledger_url, _identity(its.ledger_url), first_day, end_day)


def deliveries(url: str) -> list[Any]:
    """The newest files that were delivered."""
    return ask.rows(engine(url), log_lines())


def alerts(url: str) -> list[Any]:
    """The alerts that last, and those that ended in the last 7 days."""
    return ask.rows(engine(url), told.since(now_us() - 7 * 86_400 * 1_000_000))


def untold(url: str) -> tuple[list[Any], list[Any]]:
    """What is silenced, and who could not be told yet."""
    its = engine(url)
    return ask.rows(its, told.silenced(now_us())), ask.rows(its, told.undelivered())


def incidents(period: Period, url: str) -> list[Any]:
    """The incidents that status pages told of in a period."""
    return ask.rows(engine(url), incidents_in(period))


def job_runs(url: str) -> list[Any]:
    """The last run of each job."""
    return ask.rows(engine(url), jobs.last_runs())


def spent_of(budgets: Sequence[Budget], its: Settings) -> list[Spent]:
    """What budgets have spent in their running window."""
    return [_spent(budget, its) for budget in budgets]


def _spent(budget: Budget, its: Settings) -> Spent:
    selection = Selection(zone=its.zone)
    if budget.dimension:
        selection = msgspec.structs.replace(selection, **{f"{budget.dimension}s": (budget.name,)})
    answer = answers(("spend",), selection, window(budget.period, its.zone, now_us()), its)["spend"]
    return Spent(budget, ask.total(answer.rows, "cost_picousd"), ask.total(answer.rows, "unpriced_calls"))


def rejects(url: str) -> tuple[list[Any], list[Any]]:
    """The rejects by reason, and the last of them one by one."""
    return _rejects(url, _identity(url))


def sizes(its: Settings) -> dict[str, tuple[str, int]]:
    """What takes room on the disk: name -> (where, bytes)."""
    ledger = ledger_path(its.ledger_url)
    found = {"Ledger": (str(ledger), sum(map(_size, _beside(ledger))))} if ledger else {}
    journal = [path for path in its.journal_dir.glob("*") if path.is_file()]
    found[f"Journal, {len(journal):,} files"] = (str(its.journal_dir), sum(map(_size, journal)))
    return found | ({"State": (str(its.state_path), _size(its.state_path))} if its.state_path.exists() else {})


def versions(url: str) -> dict[str, str]:
    """callmeter's version, the ledger's revision, and the versions of what they stand on."""
    (found,) = ask.rows(engine(url), about.revision())
    own = {"callmeter": _version("callmeter"), "ledger's revision": found.version_num}
    others = {name: _version(name) for name in ("streamlit", "plotly", "pandas", "sqlalchemy", "genai-prices")}
    return own | {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version} | others


def demo_mark(url: str) -> bool:
    """Whether everything in the ledger is demo data."""
    return _demo_mark(url, _identity(url))


@st.cache_data(
    ttl=FRESH_S, max_entries=200, show_spinner=False, hash_funcs={Selection: repr, Period: repr, Limits: repr}
)
def _answers(
    url: str, identity: tuple[int, int], names: tuple[str, ...], selection: Selection, period: Period, limits: Limits
) -> dict[str, Answer]:
    its = _engine(url, identity)
    declared = zones(its)
    selects = {name: _select(QUESTIONS[name], selection, period, declared, limits) for name in names}
    with its.connect() as connection:
        return {
            name: Answer(refusal=question) if isinstance(question, str) else Answer(list(connection.execute(question)))
            for name, question in selects.items()
        }


def _select(
    question: Builder, selection: Selection, period: Period, declared: frozenset[str], limits: Limits
) -> Select[Any] | str:
    try:
        return question(selection, period, declared, limits)
    except UsageError as error:
        return str(error)


@st.cache_data(
    ttl=FRESH_S,
    max_entries=20,
    show_spinner=False,
    hash_funcs={Ending: repr, Selection: repr, Period: repr, Limits: repr},
)
def _cost_of(
    url: str, identity: tuple[int, int], ending: Ending, selection: Selection, period: Period, limits: Limits
) -> Answer:
    its = _engine(url, identity)
    try:
        question = trouble.cost_of(ending, selection, period, zones(its), limits)
    except UsageError as error:
        return Answer(refusal=str(error))
    return Answer(ask.rows(its, question))


@st.cache_data(ttl=FRESH_S, max_entries=20, show_spinner=False, hash_funcs={Selection: repr, Period: repr})
def _why(url: str, identity: tuple[int, int], selection: Selection, period: Period, today: date) -> Total:
    its = _engine(url, identity)
    return why_total(its, selection, period, zones(its), today)


@st.cache_data(ttl=FRESH_S, max_entries=50, show_spinner=False)
def _names(dimension: str, url: str, identity: tuple[int, int]) -> list[str]:
    return [row.name for row in ask.rows(_engine(url, identity), filters.names_of(dimension))]


@st.cache_data(ttl=60, max_entries=500, show_spinner=False)
def _hit_by(url: str, identity: tuple[int, int], provider: str, start_us: int, end_us: int) -> tuple[int, int]:
    (row,) = ask.rows(_engine(url, identity), failures.hit_by(provider, start_us, end_us))
    return row.hit, row.rescued


@st.cache_data(ttl=CATALOG_S, max_entries=50, show_spinner=False)
def _price_bodies(url: str, identity: tuple[int, int], digests: frozenset[str]) -> dict[str, str]:
    return {row.digest: row.body for row in ask.rows(_engine(url, identity), prices.used_sets(digests))}


@st.cache_resource(ttl=CATALOG_S, max_entries=4, show_spinner=False)
def _catalog(_its: Settings, data_dir: str, config: str, stamps: tuple[Any, ...]) -> Catalog:
    return Catalog(_its)


@st.cache_data(ttl=BOOKS_S, max_entries=4, show_spinner=False)
def _accounts(url: str, identity: tuple[int, int], journal_dir: str) -> list[Account]:
    return account(_engine(url, identity), Path(journal_dir), _tails(url, identity), BOOKS_BYTES)


@st.cache_resource(max_entries=4, show_spinner=False)
def _tails(url: str, identity: tuple[int, int]) -> Tails:
    """Up to where the journal was read, kept between two looks at it."""
    return {}


@st.cache_data(ttl=BOOKS_S, max_entries=4, show_spinner=False)
def _months(url: str, identity: tuple[int, int], zone: str, at: int) -> Overview:
    its = _engine(url, identity)
    return months_of(its, zones(its), zone, at * MONTHS_US)


@st.cache_data(ttl=BOOKS_S, max_entries=20, show_spinner=False, hash_funcs={Finance: repr, Period: repr})
def _paid(url: str, identity: tuple[int, int], finance: Finance, period: Period) -> Paid:
    its = _engine(url, identity)
    return paid_in(its, zones(its), finance, period)


@st.cache_data(ttl=BOOKS_S, max_entries=20, show_spinner=False)
def _compared(_its: Settings, url: str, identity: tuple[int, int], first_day: int, end_day: int) -> Reconciliation:
    ledger = _engine(url, identity)
    return reconcile(ledger, _its, zones(ledger), first_day, end_day)


@st.cache_data(ttl=FRESH_S, max_entries=4, show_spinner=False)
def _rejects(url: str, identity: tuple[int, int]) -> tuple[list[Any], list[Any]]:
    its = _engine(url, identity)
    return ask.rows(its, rejected.by_reason()), ask.rows(its, rejected.newest(NEWEST_REJECTS))


@st.cache_data(ttl=2, max_entries=4, show_spinner=False)
def _not_booked(url: str, identity: tuple[int, int], journal_dir: str) -> Waiting:
    return waiting(_engine(url, identity), Path(journal_dir), WAITING_BYTES)


@st.cache_data(ttl=FRESH_S, max_entries=10, show_spinner=False)
def _demo_mark(url: str, identity: tuple[int, int]) -> bool:
    return bool(ask.rows(_engine(url, identity), about.mark("demo")))


@st.cache_resource(max_entries=4, show_spinner=False, on_release=lambda engine: engine.dispose())
def _engine(url: str, identity: tuple[int, int]) -> Engine:
    return open_ledger(url, read_only=True)


def _beside(ledger: Path) -> list[Path]:
    return [ledger, *(ledger.with_name(ledger.name + end) for end in ("-wal", "-shm"))]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _identity(url: str) -> tuple[int, int]:
    """Which file is at the address now: another one there is another ledger, and is opened anew."""
    path = ledger_path(url)
    try:
        status = path.stat() if path else None
    except OSError:
        status = None
    return (status.st_dev, status.st_ino) if status else (0, 0)
