"""Which records are one call, and what that call is. Pure: the same records in any order give the same calls.

1. Records with the same id are one call; of several from one source the best counts.
2. Across sources, records are one call when provider and origin id agree and they started within ten minutes.
   Records of one source are never put together by this: each joins the nearest call that its source has not told of.
3. The first record in the order gateway, transport, provider lookup, OTLP, file gives a call its id. What it does not
   state is taken from the next; usage comes from the record that knows it best, in that order where two know it alike.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from collector.core.calls import QUALITIES, Call
from collector.core.outcomes import Outcome

WINDOW_US = 600 * 1_000_000
_RANKS = {"gateway": 0, "transport": 1, "lookup": 2, "otlp": 3}
_FILE_RANK = 4
_QUALITY_RANKS = {quality: rank for rank, quality in enumerate(QUALITIES)}
_WEAK_OUTCOMES = {Outcome.INTERRUPTED: 1, Outcome.UNKNOWN: 2}
_FIRST_STATED = (
    "model",
    "served_model",
    "provider",
    "origin_id",
    "app",
    "key",
    "user",
    "session",
    "tags",
    "finish_reason",
    "native_finish_reason",
    "latency_ms",
    "first_token_ms",
    "service_tier",
    "reported_cost",
    "own_key_cost",
    "attempts",
    "plan",
)
_USAGE = ("meters", "quality", "usage_problem", "cost", "original_cost", "price", "unpriced_reason")
_encode = msgspec.json.Encoder(order="deterministic").encode

Group = tuple[Call, ...]  # the records of one call, first in order first


class Origin(NamedTuple):
    """What two sources know a call by."""

    provider: str
    origin_id: str


def origin(call: Call) -> Origin | None:
    """The identity that a provider gave a call; None when it is not stated."""
    if call.origin_id is None or call.provider is None:
        return None
    return Origin(normal_provider(call.provider), call.origin_id)


@lru_cache(maxsize=1024)
def normal_provider(name: str) -> str:
    """The name of a provider as different sources agree on it."""
    return name.strip().casefold()


def states_cost(call: Call) -> bool:
    """Whether a record was priced before: such a call keeps its cost, price and reason."""
    return call.cost is not None or call.price is not None or call.unpriced_reason is not None


def group(records: Iterable[Call]) -> list[Group]:
    """The records of each call. Of records with the same id and source only the best is left."""
    groups: list[list[Group]] = []
    by_origin: dict[Origin, list[list[Group]]] = {}
    for unit in sorted(_units(records), key=_order_of_unit):
        known_by = next(filter(None, map(origin, unit)), None)
        near = by_origin.setdefault(known_by, []) if known_by else []
        joined = _nearest(unit, near)
        if joined is not None:
            joined.append(unit)
            continue
        groups.append([unit])
        near.append(groups[-1])
    return [_in_order(record for unit in units for record in unit) for units in groups]


def combine(records: Group) -> Call:
    """The call that a group of records tells of."""
    if len(records) == 1:
        return records[0]
    witness = min(records, key=lambda call: _WEAK_OUTCOMES.get(call.outcome, 0))
    usage = min(records, key=lambda call: _QUALITY_RANKS[call.quality])
    changes: dict[str, Any] = {
        name: next((value for call in records if _is_stated(value := getattr(call, name))), getattr(records[0], name))
        for name in _FIRST_STATED
    }
    changes |= {name: getattr(usage, name) for name in _USAGE}
    changes |= {name: getattr(witness, name) for name in ("outcome", "http_status", "error_type")}
    changes["streamed"] = any(call.streamed for call in records)
    return msgspec.structs.replace(records[0], **changes)


def _is_stated(value: Any) -> bool:
    """0 is a statement; None, no tags and no attempts are none."""
    return value is not None and value != {} and value != ()


def _units(records: Iterable[Call]) -> list[Group]:
    """Records by id, one of each source."""
    best: dict[str, dict[str, Call]] = {}
    for call in records:
        of_id = best.setdefault(call.id, {})
        known = of_id.get(call.source)
        if known is None or (known != call and _worth(call) < _worth(known)):
            of_id[call.source] = call
    return [_in_order(of_id.values()) for of_id in best.values()]


def _worth(call: Call) -> tuple[Any, ...]:
    """Smaller is better: ended, with usage known well, with a cost to be worked out, telling more; then any order."""
    fields = msgspec.structs.asdict(call)
    is_interrupted = call.outcome is Outcome.INTERRUPTED
    silent = sum(not _is_stated(value) for value in fields.values())
    return is_interrupted, _QUALITY_RANKS[call.quality], states_cost(call), silent, _encode(fields)


def _in_order(records: Iterable[Call]) -> Group:
    return tuple(sorted(records, key=_order))


def _order(call: Call) -> tuple[int, int, str, str]:
    return _RANKS.get(call.source, _FILE_RANK), call.started_at, call.id, call.source


def _order_of_unit(unit: Group) -> tuple[int, int, str, str]:
    return _order(unit[0])


def _nearest(unit: Group, near: Sequence[list[Group]]) -> list[Group] | None:
    """The call that a unit joins: the nearest in time of those that its sources have not told of."""
    sources = {call.source for call in unit}
    open_to_it = [
        (abs(units[0][0].started_at - unit[0].started_at), _order_of_unit(units[0]), units)
        for units in near
        if sources.isdisjoint(call.source for member in units for call in member)
    ]
    distance, _, joined = min(open_to_it, key=lambda each: each[:2], default=(WINDOW_US + 1, None, None))
    return joined if distance <= WINDOW_US else None
