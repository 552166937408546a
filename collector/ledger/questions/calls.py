"""Single calls: a page of them, one with its attempts, and all of a period in order.

Columns carry the names of the view `v_calls`, in its order, but stay quick to find by time and id: `started_at` is in
microseconds, ids are 16 bytes. `EXTRA` columns are what the view leaves out.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, or_, select, tuple_

from collector.core.calls import QUALITIES, Call
from collector.core.errors import UsageError
from collector.core.meters import COMMON_METERS, METERS
from collector.core.outcomes import OUTCOME_CODES, Outcome
from collector.core.periods import Period
from collector.core.selection import DIMENSIONS, Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.endings import ANY, Ending, ended
from collector.ledger.questions.terms import is_one_of
from collector.ledger.rows import origin_key
from collector.ledger.schema import attempts, calls, names, price_sets

MAX_PAGE = 1_000


def name_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The name that an id stands for; NULL for NULL."""
    return select(names.c.name).where(names.c.id == column).scalar_subquery()


def _word(column: ColumnElement[Any], codes: Mapping[Any, int]) -> ColumnElement[Any]:
    return case({code: str(word) for word, code in codes.items()}, value=column)


_QUALITY_CODES = {word: code for code, word in enumerate(QUALITIES, start=1)}
_c = calls.c

COLUMNS: dict[str, ColumnElement[Any]] = {
    "id": _c.id,
    "started_at": _c.started_at,
    "source": name_of(_c.source),
    "origin_id": _c.origin_id,
    "operation": name_of(_c.operation),
    "model": name_of(_c.model),
    "served_model": name_of(_c.served_model),
    "provider": name_of(_c.provider),
    "app": name_of(_c.app),
    "key": name_of(_c.key),
    "user": name_of(_c.user),
    "streamed": _c.streamed,
    "outcome": _word(_c.outcome, OUTCOME_CODES),
    "http_status": _c.http_status,
    "error_type": name_of(_c.error_type),
    "finish_reason": name_of(_c.finish_reason),
    "attempts": _c.attempts,
    "latency_ms": _c.latency_ms,
    "first_token_ms": _c.first_token_ms,
    **{METERS[name].column: _c[METERS[name].column] for name in COMMON_METERS},
    "usage_quality": _word(_c.quality, _QUALITY_CODES),
    "cost_picousd": _c.cost,
    "original_cost_picousd": func.coalesce(_c.original_cost, _c.cost),
    "unpriced_reason": name_of(_c.unpriced_reason),
    "reported_cost_picousd": _c.reported_cost,
    "price_id": select(price_sets.c.digest).where(price_sets.c.id == _c.price).scalar_subquery(),
}
EXTRA: dict[str, ColumnElement[Any]] = {
    "sparse": _c.sparse,
    "session": name_of(_c.session),
    "tags": name_of(_c.tags),
    "service_tier": name_of(_c.service_tier),
    "native_finish_reason": name_of(_c.native_finish_reason),
    "usage_problem": _c.usage_problem,
    "own_key_cost_picousd": _c.own_key_cost,
    "app_title": select(names.c.label).where(names.c.id == _c.app).scalar_subquery(),
}


def outcome_word(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The word of an outcome's code."""
    return _word(column, OUTCOME_CODES)


def one(call_id: str) -> Question:
    """The call of an id of 32 hex digits, with COLUMNS and EXTRA. Raises UsageError for another text."""
    return _all_columns().where(_c.id == id_bytes(call_id))


def of_origin(origin_id: str, providers: Collection[str]) -> Question:
    """The calls that one of these providers gave an id, newest first, with COLUMNS and EXTRA."""
    stand_ins = (Call("", "", 0, Outcome.UNKNOWN, provider=name, origin_id=origin_id) for name in providers)
    keys = [key for each in stand_ins if (key := origin_key(each)) is not None]
    question = _all_columns().where(_c.origin_key.in_(keys), _c.origin_id == origin_id)
    return question.order_by(_c.started_at.desc())


def names_of_kind(kind: str) -> Question:
    """Every name of a kind, such as provider: column name."""
    return select(names.c.name).where(names.c.kind == kind)


def attempts_of(call_id: str) -> Question:
    """The stored attempts of a call by number: call_id, n, provider, model, started_at, outcome, http_status,
    error_type, latency_ms, first_token_ms. A call's only attempt is in its row unless it says something else."""
    return attempts_of_all([id_bytes(call_id)])


def attempts_of_all(ids: Collection[bytes]) -> Question:
    """The stored attempts of several calls, ordered by call and number; columns as in `attempts_of`."""
    a = attempts.c
    question = select(
        a.call_id,
        a.n,
        name_of(a.provider).label("provider"),
        name_of(a.model).label("model"),
        a.started_at,
        _word(a.outcome, OUTCOME_CODES).label("outcome"),
        a.http_status,
        name_of(a.error_type).label("error_type"),
        a.latency_ms,
        a.first_token_ms,
    )
    return question.where(a.call_id.in_(ids), a.probe == 0).order_by(a.call_id, a.n)


def page(
    selection: Selection,
    period: Period,
    before: tuple[int, str] | None = None,
    limit: int = 50,
    ending: Ending = ANY,
) -> Question:
    """The newest calls of a period, newest first, before the (started_at, id) that ended the page before this one."""
    key = tuple_(_c.started_at, _c.id)
    older = [key < tuple_(before[0], id_bytes(before[1]))] if before else []
    question = _all_columns().where(chosen_calls(selection, period), ended(ending), *older)
    return question.order_by(_c.started_at.desc(), _c.id.desc()).limit(min(limit, MAX_PAGE))


def in_order(selection: Selection, period: Period) -> Question:
    """All calls of a period, oldest first, with COLUMNS and EXTRA, to be streamed."""
    return _all_columns().where(chosen_calls(selection, period)).order_by(_c.started_at, _c.id)


def chosen_calls(selection: Selection, period: Period) -> ColumnElement[bool]:
    """The condition that keeps a period's calls with a selection's names."""
    picked = [_is_named(name, selection.names(name)) for name in DIMENSIONS if selection.names(name)]
    return and_(_c.started_at >= period.start_us, _c.started_at < period.end_us, *picked)


def id_bytes(call_id: str) -> bytes:
    """The 16 bytes of a call's id. Raises UsageError, naming the text."""
    try:
        raw = bytes.fromhex(call_id)
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise UsageError(f"{call_id[:40]!r} is not the id of a call: write its 32 hex digits")
    return raw


def _is_named(dimension: str, values: tuple[str, ...]) -> ColumnElement[bool]:
    without = [_c[dimension].is_(None)] if "" in values else []
    return or_(is_one_of(_c[dimension], dimension, values), *without)


def _all_columns() -> Question:
    return select(*(value.label(label) for label, value in (COLUMNS | EXTRA).items()))
