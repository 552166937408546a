"""The sections of Spend, top down."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import streamlit as st

from collector.core.periods import day_bounds
from collector.core.prices import PriceSet
from collector.core.selection import DIMENSIONS, Selection
from dashboard import cached
from dashboard.cached import Answer
from dashboard.figures import bars
from dashboard.frames import axis as axes
from dashboard.frames import ranking, savings, spend, trouble, unpriced, what_if
from dashboard.views import empty, grouping, over_spend, parts, scope
from dashboard.views.over_spend import Mark

GROUPS = {name: name.title() for name in DIMENSIONS}
MOST = ("10", "25", str(cached.MOST_LEADERS))
QUESTIONS = ("trouble", "retried", "by_price", "queue")


def show(its: scope.Scope, now_us: int) -> None:
    """The whole page for a selection at an instant."""
    selection = msgspec.structs.replace(its.selection, group=grouping.stated(GROUPS, "model"))
    scope.tell(selection)
    grouping.toolbar(GROUPS, selection)
    told = cached.answers(("spend", "outages"), selection, its.period(), its.settings)
    answer = told["spend"]
    if answer.refusal or not answer.rows:
        empty.no_calls(its, answer.refusal)
        return
    group = selection.group
    with st.container(border=True):
        axis = axes.day_axis(its.period(), now_us, answer.rows[-1].day)
        _per_day(answer.rows, axis, group, over_spend.troubles(told["outages"], axis, its))
    with st.container(border=True):
        _ranked(answer.rows, selection, its)
    others = cached.answers(QUESTIONS, msgspec.structs.replace(selection, group=""), its.period(), its.settings)
    with st.container(border=True):
        _trouble(others)
    with st.container(border=True):
        _savings(others["by_price"].rows, its)
    with st.container(border=True):
        _queue(others["queue"], its)
    with st.container(border=True):
        _what_if(others["by_price"].rows, its)


def _per_day(rows: Sequence[Any], axis: axes.Axis, group: str, marks: Sequence[Mark]) -> None:
    series, extra = ranking.series_of(rows, group), [mark.name for mark in marks]
    figure = bars.stacked(spend.spend(rows, axis, group, series), axis, series, extra=extra, prefix="$")
    for mark in marks:
        mark.draw(figure)
    table = spend.spend_table(rows, axis, group)
    parts.chart(f"Spend per day by {group}", spend.says(rows), figure, table, "spend")


def _ranked(rows: Sequence[Any], selection: Selection, its: scope.Scope) -> None:
    group = selection.group
    title = f"Spend by {group}"
    (most,) = parts.choices(title, top=MOST)
    if most != MOST[0] and any(row.group is None for row in rows):  # some are folded that a longer ranking names
        rows = cached.answers(("spend_of_more",), selection, its.period(), its.settings)["spend_of_more"].rows
    ranked = ranking.by_spend(rows, group, int(most))
    parts.heading(
        "", "Lines add up to the total. Least, average and most are of days with a priced call, today's part too"
    )
    parts.rows(ranking.spend_table(ranked, group), "ranked", title, height="content")
    parts.heading("Reported beside computed", ranking.reported_says(ranked[ranking.TOTAL]))
    if ranked[ranking.TOTAL].reported_calls:
        parts.rows(
            ranking.reported_table(ranked, group), "reported", "Reported beside computed", height="content", missing="–"
        )


def _trouble(answer: Mapping[str, Answer]) -> None:
    rows, retried = answer["trouble"].rows, answer["retried"]
    parts.heading("Cost of trouble", trouble.says(rows))
    if len(table := trouble.table(rows, retried.rows)):
        parts.rows(table, "trouble", "Calls that failed, were cancelled or retried", height="content")
    if retried.refusal:
        st.text(retried.refusal)


def _savings(rows: Sequence[Any], its: scope.Scope) -> None:
    title = "Saved by caches"
    bodies = cached.price_bodies(frozenset(row.price for row in rows if row.price), its.settings.ledger_url)
    saved = savings.by_price(rows, bodies)
    if not saved:
        parts.absent(title, "No priced call read tokens from a cache in this period.")
        return
    parts.heading(title, savings.says(saved))
    parts.rows(savings.table(saved), "savings", "Saved by caches, by price set")


def _queue(answer: Answer, its: scope.Scope) -> None:
    title = "Calls without a price"
    if answer.refusal or not answer.rows:
        parts.absent(title, answer.refusal or "None: every call of this period has a price.")
        return
    parts.heading(title, unpriced.says(answer.rows))
    table = unpriced.table(answer.rows)
    parts.rows(table, "queue", "Calls without a price by model, provider and reason")
    parts.sentences(unpriced.advice(list(table["Reason"]), its.settings.data_dir / "prices.toml"))


def _what_if(rows: Sequence[Any], its: scope.Scope) -> None:
    parts.heading("The same traffic elsewhere", what_if.NOT_KNOWN)
    catalog = cached.catalog(its.settings)
    known = {name: cached.names(name, its.settings.ledger_url) for name in ("model", "provider")}
    with st.container(horizontal=True, key="elsewhere"):
        model = _other("model", [*known["model"], *catalog.models()])
        provider = _other("provider", [*known["provider"], *its.settings.providers])
    if not model and not provider:
        st.text("Choose a model, a provider or both: what is not chosen stays as it was.")
        return

    def price_of(its_model: str, its_provider: str, day: int) -> PriceSet | str:
        offer = catalog.offer(model or its_model, provider or its_provider, day_bounds(day, its.selection.zone)[0])
        return offer.price or offer.no_price

    compared = what_if.compare(rows, price_of)
    parts.heading("", what_if.says(compared))
    parts.rows(what_if.table(compared), "what_if", "The same traffic at other prices", missing="–")


def _other(what: str, names: Sequence[str]) -> str | None:
    chosen: str | None = st.selectbox(
        f"At the prices of {what}",
        list(dict.fromkeys(names)),
        index=None,
        placeholder=f"Each call's own {what}",
        key=f"as_{what}",
        bind="query-params",
        width=290,
    )
    return chosen
