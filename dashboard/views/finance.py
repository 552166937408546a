"""Finance: the months and their closes, the files that were delivered, and the books against providers and invoices."""

import streamlit as st

from collector.core.periods import DAY_S, SECOND_US
from dashboard import cached
from dashboard.frames import finance
from dashboard.routes import MONTH_PATH
from dashboard.views import parts, scope

PLAN = """[[finance.plans]]
name = "Team"
provider = "openai"
from = 2026-10-01
usd_per_month = 200"""
CREDIT = """[[finance.credits]]
provider = "openrouter"
date = 2026-10-01
usd = 500"""
its = scope.current()


def _months() -> None:
    found = cached.months(its.settings)
    note = "Why a month corrects what it corrects: callmeter explain --from 2026-11-01 --to 2026-12-01 --booked"
    parts.heading("Months", finance.months_say(found), note)
    parts.rows(finance.month_table(found, MONTH_PATH), "months", "Months and what they book", links=["File"])


def _plans() -> None:
    plans = cached.paid(its.settings, its.period()).notional
    if not plans:
        parts.absent("Flat plans", "None set. What is used under one is notional, billed by its fee alone:", PLAN)
        return
    parts.heading("Flat plans", finance.plans_say(plans), "All of a plan's usage: filters leave it as it is")
    parts.rows(finance.plan_table(plans), "plans", "Flat plans")


def _credits() -> None:
    balances = cached.paid(its.settings, its.period()).balances
    if not balances:
        parts.absent(
            "Prepaid credits", "None bought by the end of the period. One that is entered has a balance:", CREDIT
        )
        return
    parts.heading("Prepaid credits", finance.credits_say(balances), "Bought less used since the first of them")
    parts.rows(finance.credit_table(balances), "credits", "Prepaid credits")


def _closes() -> None:
    closes = cached.closes(its.settings.ledger_url)
    if not closes:
        parts.absent("Closes", "No month was closed yet. A close keeps its file for ever:", "callmeter close --help")
        return
    parts.heading("Closes", "Every close there was, with what was handed out then")
    parts.rows(finance.close_table(closes), "closes", "Closes")


def _compared() -> None:
    period = its.period()
    first, end = period.start_us // SECOND_US // DAY_S, -(-period.end_us // SECOND_US // DAY_S)
    found = cached.compared(its.settings, first, end)
    if not found.days:
        parts.absent("Metered, reported, invoiced", "Nothing was metered or reported in these days.")
        return
    parts.heading(
        "Metered, reported, invoiced",
        finance.compared_says(found.days),
        "By UTC day, whole providers and models: filters leave it as it is",
    )
    parts.rows(finance.compared_table(found.days), "compared", "Metered and reported by day, provider and model")
    if found.invoices:
        parts.heading("Invoices", finance.compared_says(found.invoices))
        parts.rows(finance.compared_table(found.invoices), "invoices", "Invoices against what was metered")


def _deliveries() -> None:
    rows = cached.deliveries(its.settings.ledger_url)
    if not rows:
        told = "None yet. With a folder in callmeter.toml each day's and month's file is delivered by itself:"
        parts.absent("Delivered files", told, '[finance]\nfolder = "/srv/finance"')
        return
    parts.heading("Delivered files", "The newest first")
    parts.rows(finance.delivery_table(rows), "deliveries", "Delivered files")


for section in (_months, _plans, _credits, _closes, _compared, _deliveries):
    with st.container(border=True):
        section()
