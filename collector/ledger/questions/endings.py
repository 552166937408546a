"""How calls ended, as a filter beside a selection: by outcome, HTTP status and error type."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, and_, or_

from collector.core.errors import UsageError
from collector.core.outcomes import OUTCOME_CODES
from collector.ledger.questions.terms import ids_of
from collector.ledger.schema import calls

NOT_STATED = "none"  # an HTTP status or error type that nobody stated


class Ending(msgspec.Struct, frozen=True):
    """What is kept of calls by their end; empty tuples filter nothing.

    A status is `503`, a class of them `5xx`, or NOT_STATED; so may an error type be.
    """

    outcomes: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    error_types: tuple[str, ...] = ()

    @property
    def is_read_from_rows(self) -> bool:
        """Whether only single calls know it; sums know the outcome."""
        return bool(self.statuses or self.error_types)


ANY = Ending()


def ended(ending: Ending) -> ColumnElement[bool]:
    """The condition that keeps calls with such an end. Raises UsageError, naming the value, for what is no end."""
    outcomes = calls.c.outcome.in_([_outcome_code(word) for word in ending.outcomes])
    statuses = or_(False, *(_has_status(text) for text in ending.statuses))
    stated = [name for name in ending.error_types if name != NOT_STATED]
    without = [calls.c.error_type.is_(None)] if NOT_STATED in ending.error_types else []
    error_types = or_(calls.c.error_type.in_(ids_of("error_type", stated)), *without)
    asked: Collection[tuple[tuple[str, ...], ColumnElement[bool]]] = (
        (ending.outcomes, outcomes),
        (ending.statuses, statuses),
        (ending.error_types, error_types),
    )
    return and_(True, *(condition for values, condition in asked if values))


def _outcome_code(word: str) -> int:
    codes: Mapping[Any, int] = OUTCOME_CODES
    if word not in codes:
        raise UsageError(f"outcome={word[:40]!r} is none: write one of {', '.join(codes)}")
    return codes[word]


def _has_status(text: str) -> ColumnElement[bool]:
    status = calls.c.http_status
    if text == NOT_STATED:
        return status.is_(None)
    if re.fullmatch("[1-5]xx", text):
        return status.between(int(text[0]) * 100, int(text[0]) * 100 + 99)
    if re.fullmatch("[1-5][0-9]{2}", text):
        return status == int(text)
    raise UsageError(f"status={text[:40]!r} is no HTTP status: write one such as 503, 5xx or {NOT_STATED}")
