"""What calls add to the cells of usage: sums by key."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import neg
from typing import Any, NamedTuple

from collector.core.meters import COMMON_METERS, INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.ledger.cells.columns import Columns, Days
from collector.ledger.schema import DIMENSION_CODES

Key = tuple[Any, ...]
Sums = tuple[int, ...]
Folded = dict[Key, Sums]

_COMMON = tuple(METERS[name].column for name in COMMON_METERS)
_TOKENS_IN, _TOKENS_OUT = ([METERS[name].column for name in side] for side in (INPUT_TOKENS, OUTPUT_TOKENS))
_BY_DAY_KEYS = tuple((DIMENSION_CODES[name], at) for at, name in enumerate(("", "model", "provider", "app", "key")))
_BY_USER = DIMENSION_CODES["user"]


class Usage(NamedTuple):
    """The sums of some calls, of what any of them states: every other sum is 0. `names` are the columns of the sums.

    The keys begin with when: a quarter-hour, or the days that hold it. After it: of quarters and days model, provider,
    app, key, price, reason, outcome; of users user, model, provider, price, reason, outcome; of prices price, unpriced,
    provider, model; of totals dimension, value, reason, outcome; of ranks, whose sums are those of USER_SUMS, user.
    """

    names: tuple[str, ...]
    quarters: Folded
    days: Folded
    users: Folded
    prices: Folded
    totals: Folded
    ranks: Folded


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
    return Usage(names, quarters, days, users, prices, totals, _ranks(names, totals))


def _ranks(names: tuple[str, ...], totals: Folded) -> Folded:
    """The sums of USER_SUMS by days and user."""
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
