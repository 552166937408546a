"""The collector itself: its books, what it rejected, how old its prices are, how much room it takes."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import pandas as pd

from collector.core.prices import PriceSet
from collector.core.prices.notices import STALE_DAYS, age_days
from dashboard import texts
from dashboard.frames.calls import NOT_STATED

MOST_TEXT = 200  # characters of a rejected line
_COUNTS = ("accepted", "stored", "merged", "open", "waiting", "rejected", "uncounted")
TOTAL = "all sources"


def books(accounts: Sequence[Any]) -> pd.DataFrame:
    """One line per source, and their sum last where there are several: accepted, what became of it, and whether that
    adds up."""
    lines = [[its.source, *_counts([its]), _adds_up(its.accepted, its.told)] for its in accounts]
    if len(lines) > 1:
        sums = _counts(accounts)
        lines.append([TOTAL, *sums, _adds_up(sums[0], sum(its.told for its in accounts))])
    return pd.DataFrame(lines, columns=["Source", *(name.capitalize() for name in _COUNTS), "Adds up"])


def _counts(accounts: Sequence[Any]) -> list[int]:
    return [sum(getattr(its, name) for its in accounts) for name in _COUNTS]


def _adds_up(accepted: int, told: int) -> str:
    return "✓ yes" if accepted == told else f"✗ off by {accepted - told:+,}"


def books_say(accounts: Sequence[Any]) -> str:
    """The equation with its numbers, and whether it holds for every source."""
    sums = dict(zip(_COUNTS, _counts(accounts), strict=True))
    wrong = [its.source for its in accounts if its.accepted != its.told]
    parts = " + ".join(f"{sums[name]:,} {name}" for name in ("stored", "merged", "open", "waiting", "rejected"))
    holds = f"does not hold for {texts.count(len(wrong), 'source')}" if wrong else "holds for every source"
    least = ("at least ", "; the journal is still being read") if any(its.is_more for its in accounts) else ("", "")
    return f"{least[0]}{sums['accepted']:,} accepted = {parts}, which {holds}{least[1]}"


def reject_table(rows: Sequence[Any]) -> pd.DataFrame:
    """One line per source and reason, from rows of `rejects.by_reason`."""
    return pd.DataFrame([[row.source, row.reason, row.lines] for row in rows], columns=["Source", "Reason", "Lines"])


def rejected_lines(rows: Sequence[Any]) -> pd.DataFrame:
    """The last rejects one by one: where each stands, why, and the line as it came."""
    lines = [
        [row.source, f"line {row.line}" if row.line is not None else f"{row.segment}, byte {row.position}", row.reason,
         texts.clipped(row.text.decode("utf-8", "replace"), MOST_TEXT)]
        for row in rows
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=["Source", "Place", "Reason", "As it came"])


PRICE_COLUMNS = ("Model", "Provider", "Source", "Read on", "Age, days", "Calls")


def price_table(calls: Mapping[str, int], bodies: Mapping[str, str], today: date) -> pd.DataFrame:
    """The price sets that calls of a period were priced by, the oldest reading first; `calls` by price id."""
    used = [(bodies[digest], n) for digest, n in calls.items() if digest in bodies]
    sets = [(PriceSet.from_plain(msgspec.json.decode(body)), n) for body, n in used]
    aged = sorted(((age_days(s, today), s, n) for s, n in sets), key=lambda it: (-(it[0] or -1), it[1].model))
    lines = [
        [s.model, s.provider or "any", s.source, s.checked or NOT_STATED, NOT_STATED if age is None else f"{age:,}", n]
        for age, s, n in aged
    ]
    return pd.DataFrame(lines, columns=PRICE_COLUMNS)


def prices_say(table: pd.DataFrame) -> str:
    """How old the oldest reading is, and how many should be read again."""
    ages = [int(age.replace(",", "")) for age in table["Age, days"] if age != NOT_STATED]
    if not ages:
        return f"{texts.count(len(table), 'price set')}; none says when its source was read"
    stale = sum(age > STALE_DAYS for age in ages)
    old = f"{stale} of them are older than {STALE_DAYS} days" if stale else f"none is older than {STALE_DAYS} days"
    return f"{texts.count(len(table), 'price set')}, read up to {texts.count(max(ages), 'day')} ago; {old}"


def size_table(sizes: Mapping[str, tuple[str, int]]) -> pd.DataFrame:
    """What takes room on the disk: name -> (where, bytes)."""
    lines = [[name, size(taken), where] for name, (where, taken) in sizes.items()]
    return pd.DataFrame(lines, columns=["What", "Size", "Where"])


def size(taken: int) -> str:
    """Bytes in the unit that leaves one to four digits: "12.3 MiB"."""
    for unit, step in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if taken >= step:
            return f"{taken / step:,.1f} {unit}"
    return f"{taken} B"


def version_table(versions: Mapping[str, str]) -> pd.DataFrame:
    """Names and versions."""
    return pd.DataFrame(list(versions.items()), columns=["What", "Version"])
