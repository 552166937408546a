"""The cards as plain HTML of our own numbers: all are one element, as each of their parts would be work for a browser.

How they look is in `static/page.css`.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from dashboard.figures import sparkline

FEWEST_BARS = 5


class Card(NamedTuple):
    """A number with its unit, its exact form, and how it moved."""

    label: str
    value: str
    exact: str
    line: list[int] | list[float] | None = None
    change: str | None = None
    is_change: bool = True
    is_line: bool = False  # drawn as a line, not from 0


def html(cards: Sequence[Card], since: str) -> str:
    """The cards as one list; `since` says what a change is against."""
    return f'<dl class="cards">{"".join(_card(n, card, since) for n, card in enumerate(cards))}</dl>'


def _card(n: int, its: Card, since: str) -> str:
    label, tip = escape(its.label), f"card-{n}"
    button = f'<button type="button" aria-label="Help for {label}" aria-describedby="{tip}"></button>'
    name = f'<dt><span>{label}</span>{button}<span role="tooltip" id="{tip}">{escape(its.exact)}</span></dt>'
    return f'<div>{name}<dd class="value">{escape(its.value)}</dd>{_change(its, since)}{_line(its)}</div>'


def _change(its: Card, since: str) -> str:
    if not its.change:
        return ""
    if not its.is_change:
        return f'<dd class="change"><span>{escape(its.change)}</span></dd>'
    arrow = "down" if its.change.startswith("-") else "up"
    against = f"<small>{escape(since)}</small>" if since else ""
    return f'<dd class="change"><span class="{arrow}">{escape(its.change)}</span>{against}</dd>'


def _line(its: Card) -> str:
    if not its.line or len(its.line) < FEWEST_BARS or not any(its.line):
        return ""
    drawn = sparkline.line(its.line) if its.is_line else sparkline.bars(its.line)
    return f'<dd aria-hidden="true" class="line" style="clip-path:{drawn}"></dd>'
