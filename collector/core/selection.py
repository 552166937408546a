"""The filter of every question: a period, a zone, and the models, providers, apps, keys and users that count.

It travels in the URL: query names `period`, `zone`, `model`, `provider`, `app`, `key`, `user` (each name once per
value; an empty value means the calls that have none) and `group`.
"""

from collections.abc import Iterable

import msgspec

from collector.core.calls import clip
from collector.core.errors import UsageError
from collector.core.periods import DAY_S, SECOND_US, Period, check_zone, parse_period

DIMENSIONS = ("model", "provider", "app", "key", "user")
MAX_VALUES = 200
_ANY_TIME_US = 10**15  # to see whether a text is a period at all


class Selection(msgspec.Struct, frozen=True):
    """What a question is asked about. Empty tuples filter nothing; "" in one stands for calls without that name."""

    period: str = "30d"
    zone: str = "UTC"
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    group: str = ""  # one of DIMENSIONS, or "" for the sum

    def names(self, dimension: str) -> tuple[str, ...]:
        """The chosen names of one of DIMENSIONS."""
        chosen: tuple[str, ...] = getattr(self, f"{dimension}s")
        return chosen


def to_query(selection: Selection) -> list[tuple[str, str]]:
    """The selection as pairs of a URL's query, in a fixed order."""
    chosen = [(name, value) for name in DIMENSIONS for value in selection.names(name)]
    group = [("group", selection.group)] if selection.group else []
    return [("period", selection.period), ("zone", selection.zone), *chosen, *group]


def from_query(pairs: Iterable[tuple[str, str]], default_zone: str = "UTC") -> Selection:
    """The selection that a URL's query states; other names in it are a page's own and are left alone.

    Raises UsageError, naming the value, for a period, zone, group or name that cannot be.
    """
    stated: dict[str, list[str]] = {}
    for name, value in pairs:
        stated.setdefault(name, []).append(value)
    zone = check_zone(_one(stated, "zone", default_zone))
    return Selection(
        period=_period(_one(stated, "period", "30d"), zone),
        zone=zone,
        **{f"{name}s": _names(name, stated.get(name, [])) for name in DIMENSIONS},
        group=_group(_one(stated, "group", "")),
    )


def period_of(selection: Selection, now_us: int, max_days: int) -> Period:
    """The period of a selection at an instant. Raises UsageError when it is longer than `max_days`."""
    period = parse_period(selection.period, selection.zone, now_us)
    if period.end_us - period.start_us > (max_days + 1) * DAY_S * SECOND_US:
        raise UsageError(f"the period {selection.period!r} is longer than {max_days} days: choose a shorter one")
    return period


def _one(stated: dict[str, list[str]], name: str, default: str) -> str:
    values = stated.get(name, [])
    if len(values) > 1:
        raise UsageError(f"{name}={values[1][:40]!r} is stated a second time: state {name} once")
    return values[0] if values else default


def _period(text: str, zone: str) -> str:
    parse_period(text, zone, _ANY_TIME_US)
    return text


def _group(text: str) -> str:
    if text and text not in DIMENSIONS:
        raise UsageError(f"group={text[:40]!r} cannot be grouped by: write one of {', '.join(DIMENSIONS)}")
    return text


def _names(dimension: str, values: list[str]) -> tuple[str, ...]:
    if len(values) > MAX_VALUES:
        raise UsageError(f"{len(values)} values of {dimension} are chosen: choose {MAX_VALUES} at most")
    for value in values:
        if value and clip(value) != value:
            raise UsageError(f"{dimension}={value[:40]!r} is not a name: it is too long or has characters no name has")
    return tuple(values)
