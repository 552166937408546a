"""Who uses it most, how that moved, who is new and who is gone: apps, keys or users beside the period before."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
import pandas as pd

from collector.core.money import MICRODOLLAR
from collector.core.selection import Selection, to_query
from dashboard import texts
from dashboard.frames.model import APP_LINK, web_address
from dashboard.frames.spend import USD
from dashboard.frames.usage import names_of

CALLS_LINK, CHANGE, BEFORE = "Its calls", "Change", "Rank before"
NEW = "new"


class Used(NamedTuple):
    """What one name used in a period; `spend` is None where nothing had a price, which is not 0."""

    label: str
    tokens: int
    calls: int
    spend: int | None


def used(rows: Sequence[Any], dimension: str) -> dict[str, Used]:
    """By name, most tokens first, from rows of `used_by_name` by that dimension."""
    labels = names_of(rows, dimension)
    found = {row.group: Used(labels[row.group], row.tokens_in + row.tokens_out, row.calls, _spend(row)) for row in rows}
    return dict(sorted(found.items(), key=lambda item: (-item[1].tokens, -item[1].calls, item[0])))


def _spend(row: Any) -> int | None:
    return row.microdollars * MICRODOLLAR + row.picodollars if row.calls > row.unpriced_calls else None


def calls_path(selection: Selection, name: str) -> str:
    """The address of the calls of one name of what the selection groups by."""
    chosen = {f"{selection.group}s": (name,), "group": ""}
    return f"/calls?{urlencode(to_query(msgspec.structs.replace(selection, **chosen)))}"


def board(now: Mapping[str, Used], before: Mapping[str, Used] | None, selection: Selection) -> pd.DataFrame:
    """A line per name with its rank; beside the period before where there is one."""
    group = selection.group
    whole = sum(its.tokens for its in now.values())
    ranks = {name: n for n, name in enumerate(before or {}, start=1)}
    lines = []
    for rank, (name, its) in enumerate(now.items(), start=1):
        line = {"Rank": rank, group.capitalize(): its.label, CALLS_LINK: calls_path(selection, name)}
        line |= {"Tokens": its.tokens, "Share": texts.percent(its.tokens, whole), "Calls": its.calls}
        line |= {USD: texts.dollars(its.spend)}
        if before is not None:
            line |= {CHANGE: _change(its, before.get(name)), BEFORE: f"{ranks[name]}" if name in ranks else "–"}
        lines.append(line | ({APP_LINK: web_address(name)} if group == "app" else {}))
    return pd.DataFrame(lines).astype({USD: object})


def _change(now: Used, before: Used | None) -> str:
    return NEW if before is None else texts.change(now.tokens, before.tokens) or "–"


def says(now: Mapping[str, Used], dimension: str) -> str:
    """How many there are, and what they used together; calls without a name are nobody's."""
    tokens, calls = (sum(getattr(its, column) for its in now.values()) for column in ("tokens", "calls"))
    who = texts.count(len([name for name in now if name]), dimension)
    return f"{who}: {texts.count(tokens, 'token')} in {texts.count(calls, 'call')}, most tokens first"


def come(now: Mapping[str, Used], before: Mapping[str, Used]) -> dict[str, Used]:
    """Those of `now` that were not there `before`; turned around: those that are gone."""
    return {name: its for name, its in now.items() if name and name not in before}


def short_board(some: Mapping[str, Used], dimension: str) -> pd.DataFrame:
    """A line per name with what it used."""
    lines = [[its.label, its.tokens, its.calls, texts.dollars(its.spend)] for its in some.values()]
    return pd.DataFrame(lines, columns=[dimension.capitalize(), "Tokens", "Calls", USD]).astype({USD: object})
