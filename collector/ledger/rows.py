"""A call as a row and a row as a call, without loss."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from collector.core.calls import QUALITIES, Attempt, Call
from collector.core.meters import COMMON_METERS, METERS
from collector.core.outcomes import OUTCOME_CODES, OUTCOMES_BY_CODE, Outcome
from collector.ledger.merge import normal_provider
from collector.ledger.schema import calls

Row = tuple[Any, ...]

COLUMNS = tuple(column.name for column in calls.columns)
AT = {name: at for at, name in enumerate(COLUMNS)}
METERS_AT = AT[METERS[COMMON_METERS[0]].column]
METERS_END = METERS_AT + len(COMMON_METERS)

# field of Call -> kind of name; each is a column of the same name
NAMED = {
    "source": "source",
    "operation": "operation",
    "model": "model",
    "served_model": "served_model",
    "provider": "provider",
    "app": "app",
    "key": "key",
    "user": "user",
    "session": "session",
    "error_type": "error_type",
    "finish_reason": "finish_reason",
    "native_finish_reason": "finish_reason",
    "service_tier": "service_tier",
    "plan": "plan",
}
KINDS = tuple(dict.fromkeys([*NAMED.values(), "tags", "reason"]))
# the fields of NAMED that few calls have to themselves
SHARED = tuple(name for name in NAMED if name not in ("user", "session"))

NEAR_MS = 100  # an only attempt whose times differ by no more from its call's has the call's

_QUALITY_CODES = {quality: code for code, quality in enumerate(QUALITIES, start=1)}
_QUALITIES_BY_CODE = dict(enumerate(QUALITIES, start=1))
_COMMON = frozenset(COMMON_METERS)
_COMMON_COUNT = len(COMMON_METERS)
_NOT_STATED: dict[str, int | None] = dict.fromkeys(COMMON_METERS)

Shared = tuple[str | None, ...]
SharedIds = tuple[int | None, ...]
shared_names: Callable[[Call], Shared] = attrgetter(*SHARED)


class Charged(msgspec.Struct, frozen=True, gc=False):
    """What a row says of money; price and reason are ids."""

    meters: Mapping[str, int]
    cost: int | None = None
    price: int | None = None
    reason: int | None = None
    original_cost: int | None = None
    stated: int | None = None


class Ids(NamedTuple):
    """The ids of the names of some calls, one mapping for each of KINDS."""

    source: Mapping[Any, int]
    operation: Mapping[Any, int]
    model: Mapping[Any, int]
    served_model: Mapping[Any, int]
    provider: Mapping[Any, int]
    app: Mapping[Any, int]
    key: Mapping[Any, int]
    user: Mapping[Any, int]
    session: Mapping[Any, int]
    error_type: Mapping[Any, int]
    finish_reason: Mapping[Any, int]
    service_tier: Mapping[Any, int]
    plan: Mapping[Any, int]
    tags: Mapping[Any, int]
    reason: Mapping[Any, int]

    def of_shared(self, names: Shared) -> SharedIds:
        """The ids of what `shared_names` tells of a call."""
        return tuple(getattr(self, NAMED[field]).get(name) for field, name in zip(SHARED, names, strict=True))


def canonical(call: Call) -> Call:
    """The call as its row tells it: its app's title belongs to the app, its only attempt may be in the row."""
    return msgspec.structs.replace(call, attempts=own_attempts(call), app_title=None)


def own_attempts(call: Call) -> tuple[Attempt, ...]:
    """The attempts that the call's own row does not tell: none when there is one and it says what the call says."""
    attempts = call.attempts
    return () if len(attempts) == 1 and _says_what_the_call_says(attempts[0], call) else attempts


def names_in(calls: Sequence[Call], shared: Iterable[Shared], own: Iterable[Attempt]) -> dict[str, set[str]]:
    """The names that rows of these calls need, by kind; `shared` are their shared names, `own` their own attempts."""
    wanted: dict[str, set[Any]] = {kind: set() for kind in KINDS}
    for field, names in zip(SHARED, zip(*shared, strict=True), strict=False):
        wanted[NAMED[field]].update(names)
    wanted["user"].update(map(attrgetter("user"), calls))
    wanted["session"].update(map(attrgetter("session"), calls))
    wanted["tags"] = {tags_text(call.tags) for call in calls if call.tags}
    for attempt in own:
        wanted["provider"].add(attempt.provider)
        wanted["model"].add(attempt.model)
        wanted["error_type"].add(attempt.error_type)
    return {kind: found - {None, ""} for kind, found in wanted.items()}


def row_of(call: Call, batch: int, ids: Ids, shared: SharedIds, charged: Charged, key: int | None) -> Row:
    """The row of a call in the order of COLUMNS; `shared` are the ids of its shared names, `key` its origin_key."""
    source, operation, model, served, provider, app, own_key, error, finish, native_finish, tier, plan = shared
    told = tuple({**_NOT_STATED, **charged.meters}.values())  # the common meters and after them the rare ones
    return (
        bytes.fromhex(call.id),
        call.started_at,
        batch,
        source,
        call.origin_id,
        key,
        operation,
        model,
        served,
        provider,
        app,
        own_key,
        ids.user.get(call.user),
        ids.session.get(call.session),
        ids.tags[tags_text(call.tags)] if call.tags else None,
        1 if call.streamed else 0,
        OUTCOME_CODES[call.outcome],
        call.http_status,
        error,
        finish,
        native_finish,
        call.latency_ms,
        call.first_token_ms,
        _QUALITY_CODES[call.quality],
        call.usage_problem,
        tier,
        *told[:_COMMON_COUNT],
        None if len(told) == _COMMON_COUNT else sparse_text(charged.meters),
        charged.price,
        charged.reason,
        charged.cost,
        charged.original_cost,
        charged.stated,
        call.reported_cost,
        len(call.attempts) or (0 if call.provider is None or call.outcome is Outcome.REFUSED else 1),
        plan,
        call.own_key_cost,
    )


def attempt_rows(call: Call, own: Iterable[Attempt], ids: Ids) -> list[Row]:
    """Rows of `own_attempts`, counted from 1."""
    call_id = bytes.fromhex(call.id)
    return [
        (
            call_id,
            n,
            0,
            ids.provider.get(each.provider, 0),
            ids.model.get(each.model, 0),
            each.started_at,
            OUTCOME_CODES[each.outcome],
            each.http_status,
            ids.error_type.get(each.error_type),
            each.latency_ms,
            each.first_token_ms,
        )
        for n, each in enumerate(own, start=1)
    ]


def call_of(row: Row, attempts: Iterable[Row], text: Mapping[int, str], prices: Mapping[int, str]) -> Call:
    """The call that a row was made of.

    `attempts` are its rows of the attempts table, `text` names by id, `prices` bodies of price sets by id. Cost, price
    and reason are the call's only where it came with them.
    """
    fields: dict[str, Any] = {name: row[AT[name]] for name in _PLAIN}
    fields |= {name: text.get(row[AT[name]]) for name in NAMED}
    meters = {name: n for name, n in zip(COMMON_METERS, row[METERS_AT:METERS_END], strict=True) if n is not None}
    if row[AT["cost_stated"]]:
        price = prices.get(row[AT["price"]])
        fields["cost"], fields["original_cost"] = row[AT["cost"]], row[AT["original_cost"]]
        fields["unpriced_reason"] = text.get(row[AT["unpriced_reason"]])
        fields["price"] = json.loads(price) if price else None
    return Call(
        id=row[0].hex(),
        tags=json.loads(text[row[AT["tags"]]]) if row[AT["tags"]] else {},
        streamed=bool(row[AT["streamed"]]),
        outcome=OUTCOMES_BY_CODE[row[AT["outcome"]]],
        quality=_QUALITIES_BY_CODE[row[AT["quality"]]],
        meters=meters | sparse_of(row),
        attempts=tuple(_attempt_of(each, text) for each in attempts),
        **fields,
    )


def ids_in(row: Row) -> set[int]:
    """The ids of names in a row."""
    return {row[AT[name]] for name in (*NAMED, "tags", "unpriced_reason")} - {None}


def sparse_of(row: Row) -> dict[str, int]:
    """The rare meters of a row."""
    text = row[METERS_END]
    return json.loads(text) if text else {}


def meters_of(row: Row) -> dict[str, int]:
    """All meters of a row."""
    common = zip(COMMON_METERS, row[METERS_AT:METERS_END], strict=True)
    return {name: n for name, n in common if n is not None} | sparse_of(row)


def origin_key(call: Call) -> int | None:
    """63 bits of the digest of provider and origin id; None where they are not stated."""
    if call.origin_id is None or call.provider is None:
        return None
    text = f"{normal_provider(call.provider)}\0{call.origin_id}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") >> 1


def tags_text(tags: Mapping[str, str]) -> str:
    """Labels as the canonical JSON that is their name."""
    return json.dumps(tags, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


_PLAIN = (
    "started_at",
    "origin_id",
    "http_status",
    "latency_ms",
    "first_token_ms",
    "usage_problem",
    "reported_cost",
    "own_key_cost",
)


def sparse_text(meters: Mapping[str, int]) -> str | None:
    if meters.keys() <= _COMMON:
        return None
    rare = {name: n for name, n in meters.items() if name not in _COMMON}
    return json.dumps(rare, sort_keys=True, separators=(",", ":"))


def _says_what_the_call_says(attempt: Attempt, call: Call) -> bool:
    """Same target, same end, and times that differ by what it takes to read a request."""
    return (
        attempt.provider == call.provider
        and attempt.model == (call.model or "")
        and attempt.outcome is call.outcome
        and attempt.http_status == call.http_status
        and attempt.error_type == call.error_type
        and call.outcome is not Outcome.REFUSED
        and -NEAR_MS * 1000 <= attempt.started_at - call.started_at <= NEAR_MS * 1000
        and (attempt.latency_ms == call.latency_ms or _is_near(attempt.latency_ms, call.latency_ms))
        and (attempt.first_token_ms == call.first_token_ms or _is_near(attempt.first_token_ms, call.first_token_ms))
    )


def _is_near(own: int | None, told: int | None) -> bool:
    return own is None or (told is not None and -NEAR_MS <= own - told <= NEAR_MS)


def _attempt_of(row: Row, text: Mapping[int, str]) -> Attempt:
    _, _, _, provider, model, started_at, outcome, status, error_type, latency, first = row
    return Attempt(
        text.get(provider, ""),
        text.get(model, ""),
        started_at,
        OUTCOMES_BY_CODE[outcome],
        status,
        text.get(error_type),
        latency,
        first,
    )
