"""A call as a row and a row as a call, without loss; and what a call must be like to be stored."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from collector.core.calls import MAX_NAME_CHARS, QUALITIES, Attempt, Call, clip
from collector.core.errors import InputError
from collector.core.meters import COMMON_METERS, MAX_COUNT, METERS
from collector.core.money import MAX_COST
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

MAX_INSTANT_US = 7_258_118_400_000_000  # 2200-01-01
MAX_DURATION_MS = 10**12
NEAR_MS = 100  # an only attempt whose times differ by no more from its call's has the call's

_HEX_DIGITS = "0123456789abcdef"
_QUALITY_CODES = {quality: code for code, quality in enumerate(QUALITIES, start=1)}
_QUALITIES_BY_CODE = dict(enumerate(QUALITIES, start=1))
_COMMON = frozenset(COMMON_METERS)
_ATTEMPT_TEXTS = ("provider", "model", "error_type")
_TEXTS = ("origin_id", "usage_problem", *(name for name in NAMED if name not in ("source", "operation", "plan")))
_OWN_TEXTS = ("origin_id", "usage_problem", "user", "session")

Shared = tuple[str | None, ...]
SharedIds = tuple[int | None, ...]
shared_names: Callable[[Call], Shared] = attrgetter(*SHARED)
_own_texts_of = attrgetter(*_OWN_TEXTS)
_attempt_texts_of = attrgetter(*_ATTEMPT_TEXTS)


class Charged(NamedTuple):
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


def check(call: Call) -> None:
    """Raises InputError, naming the value, for a call that cannot be stored."""
    if len(call.id) != 32 or call.id.strip(_HEX_DIGITS):
        raise InputError(f"id {call.id[:60]!r} is not 32 hex digits in lower case")
    if not call.source or not call.operation:
        raise InputError(f"source {call.source!r} or operation {call.operation!r} is empty")
    for name, count in call.meters.items():
        if name not in METERS:
            raise InputError(f"meter {name[:60]!r} is not known: use one of {', '.join(METERS)}")
        if not 0 <= count <= MAX_COUNT:
            raise InputError(f"{name} {count} is not a count between 0 and {MAX_COUNT}")
    if call.quality not in _QUALITY_CODES:
        raise InputError(f"usage quality {call.quality[:60]!r} is not one of {', '.join(QUALITIES)}")
    if call.cost is not None or call.original_cost is not None or call.reported_cost is not None:
        _check_amounts(call)
    if call.own_key_cost is not None:
        _check_amounts(call)
    check_numbers(call)
    for attempt in call.attempts:
        check_numbers(attempt)


def are_tidy(shared: Shared) -> bool:
    """Whether shared names are in the form that is kept; a plan is our own text and always is."""
    return is_tidy(shared[: SHARED.index("plan")])


def is_tidy(texts: Iterable[str | None]) -> bool:
    """Whether texts are in the form that is kept; together they are looked at, so that many long ones are not."""
    if "" in texts:
        return False
    joined = "".join(filter(None, texts))
    return len(joined) <= MAX_NAME_CHARS and joined.isprintable()


def tidy(call: Call, are_shared_tidy: bool, own: Iterable[Attempt]) -> Call:
    """The call with its texts in the form that is kept: none empty, too long, or with control characters.

    `are_shared_tidy` says it of its `shared_names`, and `own` are the attempts with texts that are not the call's.
    """
    texts: tuple[str | None, ...] = _own_texts_of(call)
    for attempt in own:
        texts += _attempt_texts_of(attempt)
    if are_shared_tidy and is_tidy(texts):
        return call
    changes: dict[str, Any] = _tidied(call, _TEXTS)
    return msgspec.structs.replace(call, attempts=tuple(map(tidy_attempt, call.attempts)), **changes)


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
    meters = charged.meters
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
        *map(meters.get, COMMON_METERS),
        sparse_text(meters),
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


def _check_amounts(call: Call) -> None:
    for amount in (call.cost, call.original_cost, call.reported_cost, call.own_key_cost):
        if amount is not None and not -MAX_COST <= amount <= MAX_COST:
            raise InputError(f"cost {amount} picodollars is beyond {MAX_COST} for one call")


def check_numbers(told: Call | Attempt) -> None:
    """Raises InputError, naming the value, for numbers that cannot be stored."""
    if not 0 <= told.started_at < MAX_INSTANT_US:
        raise InputError(f"started_at {told.started_at} is not microseconds between 1970 and 2200")
    status, latency, first = told.http_status, told.latency_ms, told.first_token_ms
    if status is not None and not 0 <= status < 1000:
        raise InputError(f"http_status {status} is not between 0 and 999")
    if latency is not None and not 0 <= latency <= MAX_DURATION_MS:
        raise InputError(f"latency_ms {latency} is not between 0 and {MAX_DURATION_MS}")
    if first is not None and not 0 <= first <= MAX_DURATION_MS:
        raise InputError(f"first_token_ms {first} is not between 0 and {MAX_DURATION_MS}")


def _tidied(told: Call | Attempt, fields: Iterable[str]) -> dict[str, str | None]:
    return {name: clip(getattr(told, name)) for name in fields}


def tidy_attempt(attempt: Attempt) -> Attempt:
    """The attempt with its texts in the form that is kept."""
    texts = _tidied(attempt, _ATTEMPT_TEXTS)
    provider, model = texts["provider"] or "", texts["model"] or ""
    return msgspec.structs.replace(attempt, provider=provider, model=model, error_type=texts["error_type"])


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
        and _is_near(attempt.latency_ms, call.latency_ms)
        and _is_near(attempt.first_token_ms, call.first_token_ms)
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
