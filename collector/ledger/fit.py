"""What a call must be like to be stored: numbers that are possible, and texts in the form that is kept."""

from collections.abc import Callable, Iterable
from operator import attrgetter

import msgspec

from collector.core.calls import MAX_NAME_CHARS, QUALITIES, Attempt, Call, clip
from collector.core.errors import InputError
from collector.core.meters import MAX_COUNT, METERS
from collector.core.money import MAX_COST
from collector.core.periods import END_US, FIRST_US
from collector.ledger.rows import NAMED, SHARED, Shared

MAX_DURATION_MS = 10**12

_HEX_DIGITS = "0123456789abcdef"
_QUALITIES = frozenset(QUALITIES)
_KNOWN_METERS = frozenset(METERS)
_ATTEMPT_TEXTS = ("provider", "model", "error_type")
_TEXTS = ("origin_id", "usage_problem", *(name for name in NAMED if name not in ("source", "operation", "plan")))
_own_texts_of: Callable[[Call], tuple[str | None, ...]] = attrgetter("origin_id", "usage_problem", "user", "session")
_attempt_texts_of: Callable[[Attempt], tuple[str | None, ...]] = attrgetter(*_ATTEMPT_TEXTS)


def check(call: Call) -> None:
    """Raises InputError, naming the value, for a call that cannot be stored."""
    if len(call.id) != 32 or call.id.strip(_HEX_DIGITS):
        raise InputError(f"id {call.id[:60]!r} is not 32 hex digits in lower case")
    if not call.source or not call.operation:
        raise InputError(f"source {call.source!r} or operation {call.operation!r} is empty")
    meters = call.meters
    if not meters.keys() <= _KNOWN_METERS:
        name = next(name for name in meters if name not in METERS)
        raise InputError(f"meter {name[:60]!r} is not known: use one of {', '.join(METERS)}")
    for count in meters.values():
        if not 0 <= count <= MAX_COUNT:
            name = next(name for name in meters if meters[name] == count)
            raise InputError(f"{name} {count} is not a count between 0 and {MAX_COUNT}")
    if call.quality not in _QUALITIES:
        raise InputError(f"usage quality {call.quality[:60]!r} is not one of {', '.join(QUALITIES)}")
    for amount in (call.cost, call.original_cost, call.reported_cost, call.own_key_cost):
        if amount is not None and not -MAX_COST <= amount <= MAX_COST:
            raise InputError(f"cost {amount} picodollars is beyond {MAX_COST} for one call")
    check_numbers(call)


def check_numbers(told: Call | Attempt) -> None:
    """Raises InputError, naming the value, for numbers that cannot be stored."""
    if not FIRST_US <= told.started_at < END_US:
        raise InputError(f"started_at {told.started_at} is not microseconds between 1970-02-02 and 2199-12-31")
    status, latency, first = told.http_status, told.latency_ms, told.first_token_ms
    if status is not None and not 0 <= status < 1000:
        raise InputError(f"http_status {status} is not between 0 and 999")
    if latency is not None and not 0 <= latency <= MAX_DURATION_MS:
        raise InputError(f"latency_ms {latency} is not between 0 and {MAX_DURATION_MS}")
    if first is not None and not 0 <= first <= MAX_DURATION_MS:
        raise InputError(f"first_token_ms {first} is not between 0 and {MAX_DURATION_MS}")


def are_tidy(shared: Shared) -> bool:
    """Whether shared names are in the form that is kept; a plan is our own text and always is."""
    return _are_tidy(shared[: SHARED.index("plan")])


def tidy(call: Call, are_shared_tidy: bool, own: Iterable[Attempt]) -> Call:
    """The call with its texts in the form that is kept: none empty, too long, or with control characters.

    `are_shared_tidy` says it of its `shared_names`, and `own` are the attempts with texts that are not the call's.
    """
    texts = _own_texts_of(call)
    for attempt in own:
        texts += _attempt_texts_of(attempt)
    if are_shared_tidy and _are_tidy(texts):
        return call
    changes = _tidied(call, _TEXTS)
    return msgspec.structs.replace(call, attempts=tuple(map(tidy_attempt, call.attempts)), **changes)


def tidy_attempt(attempt: Attempt) -> Attempt:
    """The attempt with its texts in the form that is kept."""
    texts = _tidied(attempt, _ATTEMPT_TEXTS)
    provider, model = texts["provider"] or "", texts["model"] or ""
    return msgspec.structs.replace(attempt, provider=provider, model=model, error_type=texts["error_type"])


def _are_tidy(texts: tuple[str | None, ...]) -> bool:
    """Whether texts are in the form that is kept; they are looked at together, so that many long ones are not."""
    if "" in texts:
        return False
    joined = "".join(filter(None, texts))
    return len(joined) <= MAX_NAME_CHARS and joined.isprintable()


def _tidied(told: Call | Attempt, fields: Iterable[str]) -> dict[str, str | None]:
    return {name: clip(getattr(told, name)) for name in fields}
