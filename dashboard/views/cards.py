"""The cards on top of Overview."""

import streamlit as st

from collector.core.periods import HOUR_S, SECOND_US, Period, days, is_whole_days
from collector.core.uptime import Uptime
from collector.ledger.questions.waiting import Waiting
from dashboard import texts
from dashboard.figures.cards import Card, html
from dashboard.frames import uptime
from dashboard.frames.uptime import Routed
from dashboard.frames.usage import Totals

ELAPSED_SHARE = 0.85  # of a period, before it is compared with a whole one


def show(cards: list[Card], since: str) -> None:
    """Cards in a grid that takes as many columns as fit; `since` says what a change is against."""
    st.html(html(cards, since))


def since(period: Period, before: Period | None, now_us: int) -> str:
    """What a change is against, "" without a comparison and while too little of the period has passed for one."""
    if before is None or now_us - period.start_us < ELAPSED_SHARE * (period.end_us - period.start_us):
        return ""
    if before.end_us < period.start_us:
        return "52 weeks ago"
    if is_whole_days(period):
        return f"prior {len(days(before))}d"
    return f"prior {(period.end_us - period.start_us) // (HOUR_S * SECOND_US)}h"


def money_cards(
    sums: Totals, before: Totals | None, spend_line: list[int], token_line: list[int], calls_line: list[int]
) -> list[Card]:
    """Spend, tokens and calls."""
    value = texts.short_usd(sums.spend) if sums.priced_calls else "no price"
    return [
        Card(
            "Spend", value, f"Exactly {texts.usd(sums.spend)}", spend_line, _change(sums.spend, before and before.spend)
        ),
        Card(
            "Tokens",
            texts.short_count(sums.tokens),
            f"{sums.tokens_in:,} input + {sums.tokens_out:,} output = {texts.count(sums.tokens, 'token')}",
            token_line,
            _change(sums.tokens, before and before.tokens),
        ),
        Card(
            "Calls",
            texts.short_count(sums.calls),
            texts.count(sums.calls, "call"),
            calls_line,
            _change(sums.calls, before and before.calls),
        ),
    ]


def unpriced_card(sums: Totals, before: Totals | None, line: list[int]) -> Card:
    """What has no price: its own total, in tokens, never part of spend."""
    words = texts.count(sums.unpriced_calls, "call")
    exact = f"{texts.count(sums.unpriced_tokens, 'token')} in {words} without a price; not part of spend"
    change = _change(sums.unpriced_tokens, before and before.unpriced_tokens)
    value = texts.short_count(sums.unpriced_tokens)
    if change is None and sums.unpriced_calls:
        return Card("Unpriced tokens", value, exact, line, words, is_change=False)
    return Card("Unpriced tokens", value, exact, line, change)


def waiting_card(its: Waiting) -> Card:
    """What no number on the page includes yet."""
    more = "+" if its.is_more else ""
    exact = (
        "The journal holds these calls and the ledger does not yet, so no number here has them; filters do not apply."
    )
    running = texts.count(its.open, "call") + " running" if its.open else None
    return Card("Waiting calls", f"{its.waiting:,}{more}", exact, change=running, is_change=False)


def uptime_cards(now: Routed, before: Routed | None, lines: tuple[list[float], list[float]]) -> list[Card]:
    """The router's uptime with routing, and what it would have been with the first attempts alone."""
    said = (
        ("Uptime, routed", "Calls as they ended"),
        ("Uptime, first try", "Had the first provider been the only one"),
    )
    both = zip(said, now, before or (None, None), lines, strict=True)
    return [_uptime_card(label, meaning, one, old, line) for (label, meaning), one, old, line in both]


def _uptime_card(label: str, meaning: str, now: Uptime, before: Uptime | None, line: list[float]) -> Card:
    value = uptime.headline(now)
    exact = f"{meaning}: {now.ok:,} of {texts.count(now.attempts, 'call')} ok; rate-limited ones failed"
    if value == texts.NO_DATA and now.attempts:
        return Card(label, value, exact, change=f"{now.ok} of {now.attempts} ok", is_change=False)
    return Card(label, value, exact, line, uptime.points(now, before) if before else None, is_line=True)


def _change(now: int, before: int | None) -> str | None:
    return texts.change(now, before) if before is not None else None
