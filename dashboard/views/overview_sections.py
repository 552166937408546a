"""The sections of Overview, top down."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import streamlit as st

from collector.core.budgets import Budget
from collector.core.money import PICODOLLARS
from collector.core.periods import DAY_S, SECOND_US, Period, day_number, days_period, parse_period
from collector.core.selection import DIMENSIONS, Selection
from dashboard import cached, texts
from dashboard.cached import Answer
from dashboard.figures import bars
from dashboard.frames import alerts, forecast, models, outcomes, spend, unpriced, uptime, usage
from dashboard.frames import axis as axes
from dashboard.frames.forecast import Forecast
from dashboard.views import cards, empty, grouping, over_spend, parts, scope
from dashboard.views.over_spend import Mark

SUMS = ("tokens", "spend", "unpriced")
FIRST = (*SUMS, "router")  # what cards and the first chart need
LATER = ("images", "providers", "outcomes", "outages")
SPLITS = {"": "Input / output", **{name: name.title() for name in DIMENSIONS}}
UNPRICED_MARK = "Not all priced"
MOST_ALERTS = 3
Section = Callable[[], None]


def show(its: scope.Scope, now_us: int) -> None:
    """The whole page for a selection at an instant."""
    selection = msgspec.structs.replace(its.selection, group=grouping.stated(SPLITS))
    period = its.period()
    answer = cached.answers(FIRST, selection, period, its.settings)
    top = st.container()
    if answer["tokens"].refusal or not answer["tokens"].rows:
        with top:
            _alerts(its)
            scope.tell(selection)
        empty.no_calls(its, answer["tokens"].refusal)
        return
    axis = axes.day_axis(period, now_us, answer["tokens"].rows[-1].day)

    def above() -> None:
        with top:
            _alerts(its)
            scope.tell(selection)
            _cards(answer, axis, its, now_us)
            grouping.toolbar(SPLITS, selection)

    if its.is_new:
        above()
    parts.pairs(_sections(answer, selection, axis, its, now_us, above), "overview")


def _alerts(its: scope.Scope) -> None:
    """What lasts and matters, where somebody looks first; where nothing does, its place stays, as with filters."""
    lasting = alerts.banner(cached.alerts(its.settings.ledger_url))
    with st.container(border=bool(lasting), gap="xxsmall", key="banner"):
        if lasting:
            parts.sentences(lasting[:MOST_ALERTS])
            st.page_link("views/alerts.py", label=f"{texts.count(len(lasting), 'alert')} in all →")


def _sections(
    first: Mapping[str, Answer],
    selection: Selection,
    axis: axes.Axis,
    its: scope.Scope,
    now_us: int,
    above: Section,
) -> Iterator[Section]:
    """What stands above them follows the first, which is drawn sooner for that, where it is on the screen already."""
    group, period = selection.group, its.period()
    series = usage.series_of(first["tokens"].rows, group)

    @cache
    def later() -> Mapping[str, Answer]:
        return cached.answers(LATER, selection, period, its.settings)

    def tokens() -> None:
        _tokens(first["tokens"].rows, axis, group, series)
        if not its.is_new:
            later()  # asked here, so that the browser has the first chart to itself for as long as that takes
            above()

    yield tokens
    yield lambda: _spend(
        {**first, **later()}, selection, period, series, _forecast(selection, its, now_us), its, now_us
    )
    yield lambda: _providers(later()["providers"], period, now_us)
    yield lambda: parts.router("Uptime with and without routing", first["router"], period, now_us, "router")
    yield lambda: _trouble(later()["outcomes"].rows, axis)
    yield lambda: _models(selection, its)
    if any(row.images_in or row.images_out for row in later()["images"].rows):
        yield lambda: _images(later()["images"].rows, axis, group, series)
    if first["unpriced"].rows:
        yield lambda: _unpriced(first["unpriced"].rows, its.settings.data_dir / "prices.toml")


def _earlier(selection: Selection, before: Period | None, its: scope.Scope) -> Mapping[str, Answer] | None:
    if before is None:
        return None
    answer = cached.answers((*SUMS, "router"), msgspec.structs.replace(selection, group=""), before, its.settings)
    return answer if answer["tokens"].rows else None


def _totals(answer: Mapping[str, Answer]) -> usage.Totals:
    return usage.totals(*(answer[name].rows for name in SUMS))


def _routed(answer: Mapping[str, Answer]) -> uptime.Routed:
    return uptime.routed_whole(uptime.routed(answer["router"].rows))


def _cards(answer: Mapping[str, Answer], axis: axes.Axis, its: scope.Scope, now_us: int) -> None:
    before = its.before()
    since = cards.since(its.period(), before, now_us)
    earlier = _earlier(its.selection, before, its) if since else None
    sums, old = _totals(answer), _totals(earlier) if earlier else None
    lines = [
        usage.per_bucket(answer["spend"].rows, ["cost_picousd"], axis),
        usage.per_bucket(answer["tokens"].rows, ["tokens_in", "tokens_out"], axis),
        usage.per_bucket(answer["tokens"].rows, ["calls"], axis),
    ]
    shown = cards.money_cards(sums, old, *lines)
    if not answer["router"].refusal:
        by_bucket = uptime.routed(answer["router"].rows)
        both = uptime.sparkline(by_bucket, "last"), uptime.sparkline(by_bucket, "first")
        shown += cards.uptime_cards(_routed(answer), _routed(earlier) if earlier else None, both)
    missing = usage.per_bucket(answer["unpriced"].rows, ["tokens_in", "tokens_out"], axis)
    waiting = cards.waiting_card(cached.not_booked(its.settings))
    cards.show([*shown, cards.unpriced_card(sums, old, missing), waiting], since)


def _tokens(rows: list[Any], axis: axes.Axis, group: str, series: list[str]) -> None:
    figure = bars.stacked(usage.tokens(rows, axis, group, series), axis, series or (usage.INPUT, usage.OUTPUT))
    parts.chart("Tokens per day", usage.says(rows), figure, usage.token_table(rows, axis, group), "tokens")


def _images(rows: list[Any], axis: axes.Axis, group: str, series: list[str]) -> None:
    names = series or (usage.IMAGES_IN, usage.IMAGES_OUT)
    figure = bars.stacked(usage.images(rows, axis, group, series), axis, names)
    parts.chart("Images per day", usage.images_say(rows), figure, usage.image_table(rows, axis, group), "images")


def _forecast(selection: Selection, its: scope.Scope, now_us: int) -> tuple[Forecast, int] | None:
    """The forecast for the running month in the page's zone, and the day after its last; None with too little past."""
    zone = its.selection.zone
    month, today = parse_period("month", zone, now_us), day_number(now_us, zone)
    first, end = day_number(month.start_us, zone), day_number(month.end_us, zone)
    known = days_period(min(first, today - 7 * forecast.WEEKS), today + 1, zone)
    rows = cached.answers(("spend",), msgspec.structs.replace(selection, group=""), known, its.settings)["spend"].rows
    found = forecast.month_end({row.day: row.cost_picousd for row in rows}, today, first, end)
    return (found, end) if found and found.total else None


def _spend(
    answer: Mapping[str, Answer],
    selection: Selection,
    period: Period,
    series: list[str],
    expected: tuple[Forecast, int] | None,
    its: scope.Scope,
    now_us: int,
) -> None:
    rows, group = answer["spend"].rows, selection.group
    is_month = expected is not None and period.end_us > now_us + DAY_S * SECOND_US  # it has days to come
    last = max(rows[-1].day if rows else 0, expected[1] - 1 if expected and is_month else 0)
    axis = axes.day_axis(period, now_us, last)
    budgets = alerts.fitting(its.settings.budgets, selection) if selection.zone == its.settings.zone else []
    marks = _marks(rows, axis, expected if is_month else None, budgets)
    marks += over_spend.troubles(answer["outages"], axis, its)
    frame, extra = spend.spend(rows, axis, group, series), [mark.name for mark in marks]
    figure = bars.stacked(frame, axis, series or (spend.SPEND,), extra=extra, prefix="$")
    for mark in marks:
        mark.draw(figure)
    said = [forecast.says(*expected) if expected else "", alerts.budgets_say(cached.spent_of(budgets, its.settings))]
    note = ". ".join(filter(None, said))
    parts.chart("Spend per day", spend.says(rows), figure, spend.spend_table(rows, axis, group), "spend", note)


def _marks(
    rows: list[Any], axis: axes.Axis, expected: tuple[Forecast, int] | None, budgets: Sequence[Budget]
) -> list[Mark]:
    """What stands on the chart of spend besides it: a budget, what is expected, and days that are not all priced."""
    marks, budget_usd = [], alerts.line(budgets)
    if budget_usd is not None:
        text = texts.short_usd(round(budget_usd * PICODOLLARS))
        marks.append(Mark(alerts.BUDGET, lambda fig: bars.add_line(fig, axis, budget_usd, alerts.BUDGET, text)))
    if expected:
        frame = spend.expected(expected[0].to_come, axis)
        marks.append(Mark(spend.EXPECTED, lambda fig: bars.add_expected(fig, frame, spend.EXPECTED)))
    labels, notes = spend.unpriced_notes(rows, axis)
    if labels:
        marks.append(Mark(UNPRICED_MARK, lambda fig: bars.add_marks(fig, labels, notes, UNPRICED_MARK)))
    return marks


def _models(selection: Selection, its: scope.Scope) -> None:
    by_model = msgspec.structs.replace(selection, group="model")
    answer = cached.answers(("tokens", "spend"), by_model, its.period(), its.settings)
    table = models.model_table(answer["tokens"].rows, answer["spend"].rows, zone=selection.zone)
    parts.heading("Models", f"{texts.count(len(table), 'model')}, most tokens first")
    parts.rows(table, "models", "Models by tokens", links=[models.LINK])


def _unpriced(rows: list[Any], prices: Path) -> None:
    table = spend.unpriced_table(rows)
    calls, tokens = int(table["Calls"].sum()), int(table[["Input tokens", "Output tokens"]].sum().sum())
    says = f"{texts.count(calls, 'call')} with {texts.count(tokens, 'token')} are not part of spend"
    parts.heading("Calls without a price", says)
    parts.rows(table, "unpriced", "Calls without a price, by reason")
    parts.sentences(unpriced.advice(list(table["Reason"]), prices))


def _trouble(rows: list[Any], axis: axes.Axis) -> None:
    title, names = "Calls that did not end ok", outcomes.troubles(rows)
    if not names:
        parts.heading(title, f"None: {outcomes.says(rows)}")
        return
    figure = bars.trouble(outcomes.trouble(rows, axis), axis, names)
    parts.chart(title, outcomes.says(rows), figure, outcomes.outcome_table(rows, axis), "outcomes")


def _providers(answer: Answer, period: Period, now_us: int) -> None:
    title = "Provider uptime"
    if answer.refusal or not answer.rows:
        parts.absent(title, answer.refusal or "No attempts at a provider in this period.")
        return
    axis = axes.uptime_axis(period, cached.bucket_for(period), now_us)
    parts.strips(title, uptime.tallies(answer.rows), axis, "providers")
