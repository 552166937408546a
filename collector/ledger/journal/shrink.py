"""How the record of a call is made to fit its bound: details go in a fixed order, the usage never."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from collector.core.calls import Attempt, Call
from collector.ledger.journal.records import Close, Open, Whole, encode

CLOSE_BYTES = 8192
"""Bytes reserved on the disk for the close of each open call; the last of STEPS is always smaller."""

_SHORT_CHARS = 48
_NAMES = (
    "model",
    "served_model",
    "provider",
    "origin_id",
    "app",
    "key",
    "user",
    "error_type",
    "operation",
    "service_tier",
    "unpriced_reason",
    "source",
)

CallRecord = TypeVar("CallRecord", Open, Close, Whole)


def _bare(attempt: Attempt) -> Attempt:
    return msgspec.structs.replace(attempt, error_type=None)


def _without_middle(call: Call) -> tuple[Attempt, ...]:
    return call.attempts if len(call.attempts) <= 2 else (call.attempts[0], call.attempts[-1])


def _short(text: str | None) -> str | None:
    return text[:_SHORT_CHARS] if text else text


def _short_names(call: Call) -> dict[str, str | None]:
    return {name: _short(getattr(call, name)) for name in _NAMES}


# Each step keeps what the steps before it took away.
STEPS: tuple[Callable[[Call], dict[str, object]], ...] = (
    lambda call: {"tags": {}},
    lambda call: {"session": None},
    lambda call: {"app_title": None},
    lambda call: {"plan": None},
    lambda call: {"usage_problem": None, "native_finish_reason": None},
    lambda call: {"attempts": tuple(_bare(a) for a in call.attempts)},
    lambda call: {"attempts": _without_middle(call)},  # the first and the last decide the router's uptime
    lambda call: {"attempts": ()},
    lambda call: {"price": None},
    lambda call: dict(_short_names(call)),
)


def fit(record: CallRecord, max_bytes: int) -> bytes:
    """The line of a record, at most `max_bytes` long; details are dropped in the order of STEPS until it fits.

    What the last step leaves is returned whatever its length: with the meters of METERS it is below CLOSE_BYTES.
    """
    line = encode(record)
    for step in STEPS:
        if len(line) <= max_bytes:
            break
        record = msgspec.structs.replace(record, call=msgspec.structs.replace(record.call, **step(record.call)))
        line = encode(record)
    return line
