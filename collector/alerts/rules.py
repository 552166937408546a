"""ALERTS: each rule asks the ledger and says what is so now."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Engine, func, select

from collector.core.alerts import Finding, Found, Level, Spent, of_budget, of_provider, of_spend
from collector.core.budgets import Budget, window
from collector.core.periods import DAY_S, QUARTER_S, SECOND_US, Period, day_number, days_period, format_day
from collector.core.prices import PriceSet
from collector.core.prices.book import NO_USAGE
from collector.core.prices.notices import age_days
from collector.core.selection import Selection
from collector.core.told import WAITING
from collector.core.uptime import Status, Uptime
from collector.ledger.journal.space import directory_bytes
from collector.ledger.questions.alerts import lasting, newest_runs
from collector.ledger.questions.ask import AnyRow, declared_zones, rows, total
from collector.ledger.questions.pulled import entries
from collector.ledger.questions.spend import spend_per_day
from collector.ledger.questions.unpriced import queue
from collector.ledger.questions.uptime import provider_uptime
from collector.ledger.schema import price_sets, usage_days, usage_quarters
from collector.settings import Settings

MINUTES = 30  # in which a provider's state is read
CALM_S = 900  # of what comes and goes around a threshold
SPIKE_DAYS = 14
MAX_EACH = 50  # findings of one rule
_DAY_US = DAY_S * SECOND_US


class Look(NamedTuple):
    """What a rule looks at. `jobs`: name and period in seconds of every job that is set."""

    settings: Settings
    engine: Engine
    now_us: int
    jobs: Sequence[tuple[str, int]] = ()


class Rule(NamedTuple):
    """One line of ALERTS. `is_told_over`: its recovery is news too. `calm_s`: it is over when not seen for so long."""

    name: str
    summary: str
    find: Callable[[Look], Found]
    is_told_over: bool = True
    calm_s: int = 0


def _budgets(look: Look) -> Found:
    found = [_budget(look, budget) for budget in look.settings.budgets]
    return Found([each for each in found if each])


def _budget(look: Look, budget: Budget) -> Finding | None:
    zone = look.settings.zone
    running = window(budget.period, zone, look.now_us)
    selection = Selection(zone=zone)
    if budget.dimension:
        selection = msgspec.structs.replace(selection, **{f"{budget.dimension}s": (budget.name,)})
    answer = _spend(look, selection, running)
    spent = Spent(total(answer, "cost_picousd"), total(answer, "unpriced_calls"))
    return of_budget(budget, running, spent, look.now_us, format_day(day_number(running.start_us, zone)))


def _spike(look: Look) -> Found:
    zone, settings = look.settings.zone, look.settings.alerts
    today = day_number(look.now_us, zone)
    answer = _spend(look, Selection(zone=zone), days_period(today - SPIKE_DAYS, today + 1, zone))
    by_day = {row.day: row.cost_picousd for row in answer}
    before = [by_day[day] for day in by_day if day != today]
    least = settings.spike_least_usd * 10**12
    finding = of_spend(by_day.get(today, 0), before, settings.spike_factor, least, format_day(today))
    return Found([finding] if finding else [])


def _spend(look: Look, selection: Selection, period: Period) -> Sequence[AnyRow]:
    zones = declared_zones(look.engine)
    if period.zone not in zones:  # a zone that was set a moment ago: its cells are made by the next round
        return []
    return rows(look.engine, spend_per_day(selection, period, zones, look.settings.limits))


def _providers(look: Look) -> Found:
    end = (look.now_us // (300 * SECOND_US) + 1) * 300 * SECOND_US
    period = Period(end - MINUTES * 60 * SECOND_US, end, "UTC")
    sums: dict[str, list[int]] = {name: [0, 0, 0, 0] for name in _known_providers(look)}
    for row in rows(look.engine, provider_uptime(Selection(), period, declared_zones(look.engine), "5m")):
        counts = (row.ok, row.provider_fault, row.probe_ok, row.probe_fault)
        sums[row.group] = [a + b for a, b in zip(sums.get(row.group, [0] * 4), counts, strict=True)]
    told = {name: of_provider(name, Uptime(*each[:2]), Uptime(*each[2:]), MINUTES) for name, each in sums.items()}
    unknown = {name for name, each in told.items() if each is Status.NO_DATA}
    return Found([each for each in told.values() if isinstance(each, Finding)], unknown)


def _known_providers(look: Look) -> Iterator[str]:
    """Those with a lasting alert, of which there may be no data now."""
    return (row.subject for row in rows(look.engine, lasting()) if row.rule == "provider")


_ADD_PRICE = "add it to prices.toml, then `callmeter reprice`"
_TO_DO_ABOUT = {NO_USAGE: "no price is missing, see why their answers end before their tokens are stated"}


def _unpriced(look: Look) -> Found:
    today = day_number(look.now_us, "UTC")
    period = days_period(today - 1, today + 1, "UTC")
    zones, limits = declared_zones(look.engine), look.settings.limits
    if not zones:
        return Found()
    answer = rows(look.engine, queue(Selection(), period, zones, limits))
    return Found(
        [
            Finding(
                "unpriced",
                f"{row.model or '(no model)'} at {row.provider or '(no provider)'}",
                f"{row.calls} calls of {row.model} at {row.provider} have no price: {row.reason};"
                f" {_TO_DO_ABOUT.get(row.reason, _ADD_PRICE)}",
            )
            for row in answer[:MAX_EACH]
        ]
    )


def _silence(look: Look) -> Found:
    hours = look.settings.alerts.silent_hours
    if hours is None:
        return Found()
    quarter = rows(look.engine, select(func.max(usage_quarters.c.quarter).label("newest")))[0].newest
    if quarter is None or look.now_us - (quarter + 1) * QUARTER_S * SECOND_US < hours * 3_600 * SECOND_US:
        return Found()
    newest = datetime.fromtimestamp((quarter + 1) * QUARTER_S, UTC).strftime("%Y-%m-%d %H:%M")
    return Found(
        [Finding("silence", "all", f"nothing was recorded for {hours} hours: the last call began before {newest} UTC")]
    )


def _jobs(look: Look) -> Found:
    return Found([found for name, period_s in look.jobs if (found := _job(look, name, period_s))])


def _job(look: Look, name: str, period_s: int) -> Finding | None:
    """A job that runs often may fail now and then; one that runs rarely may not."""
    often = 3 if 0 < period_s < 3_600 else 1
    last = rows(look.engine, newest_runs(name, often))
    if len(last) < often or not all(run.error for run in last):
        return None
    level = Level.CRITICAL if name == "check" else Level.WARNING
    return Finding("job", name, f"the job {name} failed: {last[0].error}", level)


def _stale_prices(look: Look) -> Found:
    most, today = look.settings.alerts.price_list_days, datetime.fromtimestamp(look.now_us / 1e6, UTC).date()
    d = usage_days.c
    used = select(d.price).where(d.day >= day_number(look.now_us, "UTC") - 30, d.price != 0).distinct()
    bodies = rows(look.engine, select(price_sets.c.body).where(price_sets.c.id.in_(used)))
    ages: dict[str, int] = {}
    for row in bodies:
        price_set = msgspec.json.decode(row.body, type=PriceSet)
        age = age_days(price_set, today)
        if age is not None and age > most:
            ages[price_set.source] = max(age, ages.get(price_set.source, 0))
    text = "prices in use were last read {age} days ago at {source}: look there, then `callmeter prices add`"
    return Found(
        [
            Finding("stale prices", source[:256], text.format(age=age, source=source[:256]), Level.INFO)
            for source, age in sorted(ages.items())[:MAX_EACH]
        ]
    )


def _waiting_prices(look: Look) -> Found:
    waiting = rows(look.engine, entries(WAITING))
    if not waiting:
        return Found()
    first = f"{waiting[0].model} at {waiting[0].provider}: {waiting[0].why}"
    text = f"{len(waiting)} pulled prices wait, such as {first}: `callmeter prices accept` lists them"
    return Found([Finding("waiting prices", "all", text, Level.INFO)])


def _journal(look: Look) -> Found:
    folder, most_mb = look.settings.journal_dir, look.settings.alerts.journal_mb
    size_mb = directory_bytes(folder) // (1024 * 1024) if folder.is_dir() else 0
    if size_mb <= most_mb:
        return Found()
    text = f"{size_mb} MB of the journal are not in the ledger yet: see whether the job drain fails"
    return Found([Finding("journal", "all", text, Level.CRITICAL)])


ALERTS = (
    Rule("budget", "50, 80 or 100% of a budget is spent, or will be overspent", _budgets, is_told_over=False),
    Rule("spend spike", "a day costs far more than the days before", _spike, is_told_over=False),
    Rule("provider", "a provider is degraded or down", _providers, calm_s=CALM_S),
    Rule("unpriced", "a model without a price is used", _unpriced),
    Rule("silence", "nothing was recorded for some hours", _silence),
    Rule("job", "a job fails", _jobs),
    Rule("stale prices", "prices in use were read long ago", _stale_prices, is_told_over=False),
    Rule("waiting prices", "pulled prices wait to be accepted", _waiting_prices, is_told_over=False),
    Rule("journal", "the journal grows", _journal, calm_s=CALM_S),
)
