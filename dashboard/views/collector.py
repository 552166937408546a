"""Collector: whether its books add up, what it rejected, how old its prices are, and how much room it takes."""

import streamlit as st

from dashboard import cached, texts
from dashboard.frames import collector
from dashboard.views import parts, scope

LIVE_S = 30


@st.fragment(run_every=LIVE_S, key="collector_live")
def live() -> None:
    """The page as of now."""
    its = scope.current()
    with st.container(border=True):
        _books(its)
    for section in (_rejects, _prices):
        with st.container(border=True):
            section(its)
    parts.pairs([lambda: _sizes(its), lambda: _versions(its)])


def _books(its: scope.Scope) -> None:
    accounts = cached.accounts(its.settings)
    if not accounts:
        parts.absent("Books", "No call was ever accepted.")
        return
    parts.heading("Books", collector.books_say(accounts))
    parts.rows(collector.books(accounts), "books", "What became of every accepted call", height="content")


def _prices(its: scope.Scope) -> None:
    rows = cached.answers(("prices",), its.selection, its.period(), its.settings)["prices"].rows
    calls: dict[str, int] = {}
    for row in rows:
        if row.price:
            calls[row.price] = calls.get(row.price, 0) + row.calls
    bodies = cached.price_bodies(frozenset(calls), its.settings.ledger_url)
    table = collector.price_table(calls, bodies, texts.local(cached.now_us(), its.selection.zone).date())
    if not len(table):
        parts.absent("Age of prices", "No call of this period has a price.")
        return
    parts.heading("Age of prices", f"In this period: {collector.prices_say(table)}")
    parts.rows(table, "price_ages", "Price sets by age")


def _rejects(its: scope.Scope) -> None:
    by_reason, newest = cached.rejects(its.settings.ledger_url)
    if not by_reason:
        parts.absent("Rejects", "None: everything that was accepted could be read and stored.")
        return
    lines = texts.count(sum(row.lines for row in by_reason), "line")
    parts.heading("Rejects", f"{lines} could not be read or stored; each is kept with its reason")
    parts.rows(collector.reject_table(by_reason), "reasons", "Rejects by reason")
    with st.expander("The last of them", key="newest_rejects"):
        parts.rows(collector.rejected_lines(newest), "newest", "The last rejects")


def _sizes(its: scope.Scope) -> None:
    sizes = cached.sizes(its.settings)
    parts.heading("Room on the disk", f"{collector.size(sum(taken for _, taken in sizes.values()))} in all")
    parts.rows(collector.size_table(sizes), "sizes", "Sizes of the ledger and the journal", height="content")


def _versions(its: scope.Scope) -> None:
    parts.heading("Versions", "Of callmeter and of what it stands on")
    parts.rows(
        collector.version_table(cached.versions(its.settings.ledger_url)), "versions", "Versions", height="content"
    )


live()
