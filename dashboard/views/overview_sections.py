"""The sections of Overview, top down."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import streamlit as st

from collector.core.periods import Period, previous
from collector.core.selection import DIMENSIONS, Selection
from dashboard import cached, routes, texts
from dashboard.cached import Answer
from dashboard.figures import bars
from dashboard.figures import uptime as uptime_figures
from dashboard.frames import axis as axes
from dashboard.frames import outcomes, spend, uptime, usage
from dashboard.views import cards, parts, scope

SUMS = ("tokens", "spend", "unpriced")
QUESTIONS = (*SUMS, "providers", "router", "outcomes")
SPLITS = {"": "Input / output", **{name: name.title() for name in DIMENSIONS}}
SPLIT_KEY = "split"


def show(its: scope.Scope, now_us: int) -> None:
    """The whole page for a selection at an instant."""
    selection = msgspec.structs.replace(its.selection, group=_group())
    period = its.period()
    answer = cached.answers(QUESTIONS, selection, period, its.settings)
    if filtered := scope.spoken(selection):
        st.caption(filtered)
    if refusal := answer["tokens"].refusal:
        parts.nothing("This cannot be answered", refusal)
        return
    if not answer["tokens"].rows:
        _no_calls(selection)
        return
    axis = axes.day_axis(period, now_us, answer["tokens"].rows[-1].day)
    since = cards.since(period, now_us)
    shown = _cards(answer, _before(selection, period, its) if since else None, axis)
    cards.show([*shown, cards.waiting_card(cached.not_booked(its.settings))], since)
    _toolbar(selection)
    left, right = st.columns(2, gap="medium")
    series = usage.series_of(answer["tokens"].rows, selection.group)
    with left, st.container(border=True, height="stretch"):
        _tokens(answer["tokens"].rows, axis, selection.group, series)
    with right, st.container(border=True, height="stretch"):
        _spend(answer["spend"].rows, axis, selection.group, series)
    left, right = st.columns(2, gap="medium")
    with left:
        with st.container(border=True):
            _providers(answer["providers"], period, now_us)
        with st.container(border=True):
            _trouble(answer["outcomes"].rows, axis)
    with right:
        with st.container(border=True):
            _router(answer["router"], period, now_us)
        if answer["unpriced"].rows:
            with st.container(border=True):
                _unpriced(answer["unpriced"].rows, its.settings.data_dir / "prices.toml")


def _group() -> str:
    stated = st.query_params.get("group", "")
    return stated if stated in SPLITS else ""


def _no_calls(selection: Selection) -> None:
    if scope.spoken(selection):
        parts.nothing("No calls match", f"There are none in this period ({selection.period}) with these filters.")
    else:
        parts.nothing(
            f"No calls in this period ({selection.period})",
            "Choose a longer one, or send a call through the gateway:",
            "callmeter up\nexport OPENAI_BASE_URL=http://127.0.0.1:8484/v1",
        )


def _before(selection: Selection, period: Period, its: scope.Scope) -> usage.Totals | None:
    answer = cached.answers(SUMS, selection, previous(period), its.settings)
    return _totals(answer) if answer["tokens"].rows else None


def _totals(answer: Mapping[str, Answer]) -> usage.Totals:
    return usage.totals(*(answer[name].rows for name in SUMS))


def _cards(answer: Mapping[str, Answer], before: usage.Totals | None, axis: axes.Axis) -> list[cards.Card]:
    sums = _totals(answer)
    lines = [
        usage.per_bucket(answer["spend"].rows, ["cost_picousd"], axis),
        usage.per_bucket(answer["tokens"].rows, ["tokens_in", "tokens_out"], axis),
        usage.per_bucket(answer["tokens"].rows, ["calls"], axis),
    ]
    shown = cards.money_cards(sums, before, *lines)
    if not answer["router"].refusal:
        shown.append(cards.uptime_card(*uptime.routed_whole(uptime.routed(answer["router"].rows))))
    return [*shown, cards.unpriced_card(sums)]


def _toolbar(selection: Selection) -> None:
    st.session_state[SPLIT_KEY] = selection.group
    with st.container(horizontal=True, vertical_alignment="center", key="toolbar"):
        st.segmented_control(
            "Split by",
            list(SPLITS),
            format_func=SPLITS.__getitem__,
            key=SPLIT_KEY,
            required=True,
            on_change=_split,
            label_visibility="collapsed",
        )
        st.space("stretch")
        st.link_button("Download CSV", routes.csv_path(selection), key="csv")


def _split() -> None:
    chosen = st.session_state[SPLIT_KEY]
    if chosen:
        st.query_params["group"] = chosen
    else:
        st.query_params.pop("group", None)


def _tokens(rows: list[Any], axis: axes.Axis, group: str, series: list[str]) -> None:
    figure = bars.stacked(usage.tokens(rows, axis, group, series), axis, series or (usage.INPUT, usage.OUTPUT))
    parts.chart("Tokens per day", usage.says(rows), figure, usage.token_table(rows, axis, group), "tokens")


def _spend(rows: list[Any], axis: axes.Axis, group: str, series: list[str]) -> None:
    frame = spend.spend(rows, axis, group, series)
    labels, notes = spend.unpriced_notes(rows, axis)
    figure = bars.stacked(frame, axis, series or (spend.SPEND,), extra=1 if labels else 0, prefix="$")
    if labels:
        bars.add_marks(figure, labels, notes, "Calls without a price")
    parts.chart("Spend per day", spend.says(rows), figure, spend.spend_table(rows, axis, group), "spend")


def _unpriced(rows: list[Any], prices: Path) -> None:
    table = spend.unpriced_table(rows)
    calls, tokens = int(table["Calls"].sum()), int(table[["Input tokens", "Output tokens"]].sum().sum())
    says = f"{texts.count(calls, 'call')} with {texts.count(tokens, 'token')} are not part of spend"
    parts.heading("Calls without a price", says)
    parts.rows(table, "unpriced", "Calls without a price, by reason")
    st.text(f"A missing price goes into {prices}; callmeter prices check reads it.")


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
    by_provider = uptime.tallies(answer.rows)
    shown = dict(list(by_provider.items())[: uptime.MOST_STRIPS])
    headlines = {provider: uptime.provider_headline(buckets) for provider, buckets in shown.items()}
    figure = uptime_figures.strips(uptime.strip(shown, axis), axis, headlines)
    parts.chart(title, uptime.providers_say(by_provider, axis), figure, uptime.provider_table(by_provider), "providers")


def _router(answer: Answer, period: Period, now_us: int) -> None:
    title = "Uptime with and without routing"
    if answer.refusal or not answer.rows:
        parts.absent(title, answer.refusal or "No calls with an attempt in this period.")
        return
    axis = axes.uptime_axis(period, cached.bucket_for(period), now_us)
    by_bucket = uptime.routed(answer.rows)
    figure = uptime_figures.router(uptime.router(by_bucket, axis), axis)
    parts.chart(title, uptime.router_says(by_bucket), figure, uptime.router_table(by_bucket, axis), "router")
