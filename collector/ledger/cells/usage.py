"""What calls add to the cells of usage: sums by key."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import neg
from typing import Any, NamedTuple

from sqlalchemy.schema import Table

from collector.core.meters import COMMON_METERS, INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.money import MICRODOLLAR
from collector.ledger import schema
from collector.ledger.cells.columns import Columns, Days
from collector.ledger.schema import DIMENSION_CODES, USER_SPANS, USER_SUMS

Key = tuple[Any, ...]
Sums = tuple[int, ...]
Folded = dict[Key, Sums]

_COMMON = tuple(METERS[name].column for name in COMMON_METERS)
_TOKENS_IN, _TOKENS_OUT = ([METERS[name].column for name in side] for side in (INPUT_TOKENS, OUTPUT_TOKENS))
_BY_DAY_KEYS = tuple((DIMENSION_CODES[name], at) for at, name in enumerate(("", "model", "provider", "app", "key")))
_BY_USER = DIMENSION_CODES["user"]


class Added(NamedTuple):
    """What some calls add to a table of cells, under the columns `names`: every other sum is 0.

    The keys begin with when: a quarter-hour, or the days that hold it, one in each zone. After it come the other keys
    of the table, in its order.
    """

    names: tuple[str, ...]
    cells: Folded


Usage = dict[Table, Added]  # by table, of USAGE_TABLES


def usage_of(columns: Columns, days_of: Mapping[int, Days], sign: int) -> Usage:
    """The usage of calls, negative when they are taken out."""
    stated = _stated(columns.told)
    sums = {"calls": [1] * len(columns.quarters), **stated}
    if sign < 0:
        sums = {name: list(map(neg, column)) for name, column in sums.items()}
    each = list(zip(*sums.values(), strict=True))
    model, provider, app, key, user, price, reason = columns.ids.values()
    outcome = columns.told["outcome"]
    quarters = folded(zip(columns.quarters, model, provider, app, key, price, reason, outcome, strict=True), each)
    users = folded(zip(columns.days, user, model, provider, price, reason, outcome, strict=True), each)
    return with_days(tuple(sums), quarters, users, days_of)


def with_days(names: tuple[str, ...], quarters: Folded, users: Folded, days_of: Mapping[int, Days]) -> Usage:
    """The usage of quarter-hours and users with what follows from it."""
    days = folded([(days_of[key[0]], *key[1:]) for key in quarters], quarters.values())
    keys = [(key[0], code, key[at] if at else 0, key[6], key[7]) for code, at in _BY_DAY_KEYS for key in days]
    keys += [(when, _BY_USER, user, reason, outcome) for when, user, _, _, _, reason, outcome in users]
    totals = folded(keys, [*list(days.values()) * len(_BY_DAY_KEYS), *users.values()])
    prices = folded(((key[0], key[5], int(key[6] != 0), key[2], key[1]) for key in days), days.values())
    return {
        schema.usage_quarters: Added(names, quarters),
        schema.usage_days: Added(names, days),
        schema.user_days: Added(names, users),
        schema.price_days: Added(names, prices),
        schema.day_totals: Added(names, totals),
        schema.user_spans: Added(USER_SUMS, _spans(_ranks(names, totals))),
    }


def _spans(ranks: Folded) -> Folded:
    """The same by span and user, with the cost in two parts."""
    days = {when for when, _ in ranks}
    keys: list[Key] = []
    sums: list[Sums] = []
    for length in USER_SPANS:
        first = {when: tuple(day if day is None else day - day % length for day in when) for when in days}
        keys += [(first[when], length, user) for when, user in ranks]
        sums += ranks.values()
    return {key: (*its, *divmod(cost, MICRODOLLAR)) for key, (*its, cost) in folded(keys, sums).items()}


def _ranks(names: tuple[str, ...], totals: Folded) -> Folded:
    """By days and user calls, those without a price, tokens on both sides, and cost."""
    at = {name: n for n, name in enumerate(names)}
    given, made = ([at[column] for column in side if column in at] for side in (_TOKENS_IN, _TOKENS_OUT))
    cost = at.get("cost")
    keys, sums = [], []
    for (when, dimension, user, reason, _), its in totals.items():
        if dimension == _BY_USER:
            keys.append((when, user))
            tokens = sum([its[n] for n in given]), sum([its[n] for n in made])
            sums.append((its[0], its[0] if reason else 0, *tokens, its[cost] if cost is not None else 0))
    return folded(keys, sums)


def folded(keys: Iterable[Key], sums: Iterable[Sums]) -> Folded:
    """One sum for each key."""
    groups: dict[Key, list[Sums]] = defaultdict(list)
    for key, some in zip(keys, sums, strict=True):
        groups[key].append(some)
    return {
        key: some[0] if len(some) == 1 else tuple(map(sum, zip(*some, strict=True))) for key, some in groups.items()
    }


def _stated(told: Mapping[str, Sequence[Any]]) -> dict[str, list[int]]:
    """What is to be summed, by the name of the sum, where it is not 0 throughout."""
    sums = {name: [n or 0 for n in told[name]] for name in (*_COMMON, "cost") if any(told[name])}
    if any(told["sparse"]):
        sums |= _rare(told["sparse"])
    reported = told["reported_cost"]
    if any(n is not None for n in reported):
        sums["reported_calls"] = [int(n is not None) for n in reported]
        sums["reported_cost"] = [n or 0 for n in reported]
    return sums


def _rare(texts: Sequence[str | None]) -> dict[str, list[int]]:
    sums: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        for name, n in json.loads(text).items() if text else ():
            sums.setdefault(METERS[name].column, [0] * len(texts))[at] = n
    return sums
