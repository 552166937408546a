"""Why a call costs what it costs: meters x unit prices = products, their sum, the price, who said what and when."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.core.meters import COMMON_METERS, INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.money import format_usd
from collector.core.prices import LineItem, PriceSet, line_items
from collector.core.prices.notices import image_notice, source_sentence
from collector.finance.columns import CALL_COLUMNS
from collector.finance.records import values
from collector.ledger.book.load import names_of
from collector.ledger.questions import calls, why
from collector.ledger.questions.ask import AnyRow
from collector.ledger.questions.prices import bodies_of
from collector.settings import Settings

_record = msgspec.json.Decoder(Call)
_ATTEMPT = ("provider", "model", "started_at", "outcome", "http_status", "error_type", "latency_ms", "first_token_ms")


class Planned(msgspec.Struct, frozen=True):
    """How the gateway chose: `by` a strategy; of each endpoint provider, verdict and, with several models, the model.

    Endpoints stand in the order planned; of a draw only the first was recorded, the attempts say who came next.
    """

    by: str
    endpoints: tuple[tuple[str, ...], ...] = ()


class Tried(msgspec.Struct, frozen=True):
    """One attempt of the call."""

    provider: str | None
    model: str | None
    started_at: int
    outcome: str
    http_status: int | None = None
    error_type: str | None = None
    latency_ms: int | None = None
    first_token_ms: int | None = None


class Witness(msgspec.Struct, frozen=True):
    """One source that told of the call, what it called it, and how well it knew the usage."""

    source: str
    id: str
    started_at: int
    usage_quality: str
    meters: dict[str, int]


class Adjustment(msgspec.Struct, frozen=True):
    """One change of the cost by `reprice`; costs in picodollars, None: unpriced."""

    at: int
    who: str
    why: str
    old_cost: int | None
    new_cost: int | None
    old_price: str | None
    new_price: str | None
    old_reason: str | None
    new_reason: str | None
    old_stated: bool
    is_superseded: bool


class Explanation(msgspec.Struct, frozen=True):
    """The chain from what was metered to the cost of one call. Money in picodollars, instants in microseconds.

    The costs of `items` and `beyond` add up to `cost`; `beyond` is not 0 only for a cost that came with the call.
    """

    call: dict[str, Any]  # the columns of v_calls
    started_at: int
    asked: dict[str, Any]  # session, tags, service_tier, ... as far as stated
    plan: Planned | None  # how the gateway chose, where it did
    attempts: tuple[Tried, ...]
    meters: dict[str, int]
    input_tokens: int
    output_tokens: int
    usage_problem: str | None
    price: PriceSet | None
    items: tuple[LineItem, ...]
    beyond: int
    cost: int | None
    is_stated: bool  # the cost came with the call
    sentence: str  # why there is this cost, or none
    source_sentence: str | None  # where the price comes from, and how old it is
    notice: str | None  # the charge per image comes on top
    reported_cost: int | None
    witnesses: tuple[Witness, ...]
    adjustments: tuple[Adjustment, ...]
    first_cost: int | None  # None: it was unpriced

    @property
    def difference(self) -> int | None:
        """What the provider says it charged beyond the cost; None where either is not known."""
        return None if self.cost is None or self.reported_cost is None else self.reported_cost - self.cost


def explain(engine: Engine, settings: Settings, call_id: str, today: date) -> Explanation:
    """The chain behind a call's cost, all of it from one state of the ledger.

    `call_id` is its 32 hex digits, or those by which a merged record was known. Raises InputError for a call that the
    ledger does not hold, UsageError for a text that is no id.
    """
    with engine.connect() as connection:
        row = _row(connection, call_id)
        return _explained(connection, row, settings, today)


def _row(connection: Connection, call_id: str) -> AnyRow:
    found = connection.execute(calls.one(call_id)).first()
    if found is not None:
        return found
    for known in connection.execute(why.known_as(call_id)):
        if known.what == "open":
            raise InputError(f"call {call_id.lower()} has begun and has not ended: ask again when it has")
        merged = connection.execute(calls.one(known.call_id.hex())).first()
        if merged is not None:
            return merged
    raise InputError(
        f"there is no call {call_id.lower()} in this ledger: ids are in `callmeter export --calls`, in v_calls,"
        " and in the answer's header x-callmeter-call-id"
    )


def _explained(connection: Connection, row: AnyRow, settings: Settings, today: date) -> Explanation:
    call_id = row.id.hex()
    meters = meters_of(row)
    price = _price(connection, row.price_id)
    items = tuple(line_items(meters, price)) if price else ()
    origin = connection.execute(why.where_from(call_id)).one()
    adjustments = tuple(map(_adjustment, connection.execute(why.adjustments_of(call_id))))
    provider = names_of(settings).provider(row.provider) if row.provider else None
    return Explanation(
        call=dict(zip(CALL_COLUMNS, values(row), strict=True)),
        started_at=row.started_at,
        asked={name: value for name in calls.EXTRA if (value := getattr(row, name)) is not None and name != "sparse"},
        plan=_planned(origin.plan),
        attempts=_attempts(connection, row),
        meters=meters,
        input_tokens=sum(meters.get(name, 0) for name in INPUT_TOKENS),
        output_tokens=sum(meters.get(name, 0) for name in OUTPUT_TOKENS),
        usage_problem=row.usage_problem,
        price=price,
        items=items,
        beyond=(row.cost_picousd or 0) - sum(item.cost for item in items),
        cost=row.cost_picousd,
        is_stated=bool(origin.is_stated),
        sentence=_sentence(row, price, bool(origin.is_stated)),
        source_sentence=source_sentence(price, today) if price else None,
        notice=image_notice(price, provider, meters) if price else None,
        reported_cost=row.reported_cost_picousd,
        witnesses=_witnesses(connection, row, meters),
        adjustments=adjustments,
        first_cost=_first_cost(row, adjustments),
    )


def meters_of(row: AnyRow) -> dict[str, int]:
    """All stated meters of a row of `questions.calls`."""
    stated = {name: getattr(row, METERS[name].column) for name in COMMON_METERS}
    rare = msgspec.json.decode(row.sparse) if row.sparse else {}
    return {name: quantity for name, quantity in stated.items() if quantity is not None} | rare


def _planned(text: str | None) -> Planned | None:
    return msgspec.json.decode(text, type=Planned) if text else None


def _price(connection: Connection, price_id: str | None) -> PriceSet | None:
    if price_id is None:
        return None
    return PriceSet.from_plain(msgspec.json.decode(bodies_of(connection, [price_id])[price_id]))


def _sentence(row: AnyRow, price: PriceSet | None, is_stated: bool) -> str:
    if row.cost_picousd is None:
        return f"Unpriced: {row.unpriced_reason}."
    if is_stated:
        source = f"The cost came with the call, from {row.source}"
        return f"{source}, and with it the price." if price else f"{source}; no price came with it."
    if price is None:
        return f"The call ended as {row.outcome} and no usage was reported: nothing is charged."
    if price.only_minimum:
        return "Its meters cost less than the least sum that a call costs by this price: that sum is charged."
    if not any(meters_of(row).values()):
        return "Usage was reported and is 0: nothing is charged."
    return "Each quantity times its unit price; the sum is the cost."


def _attempts(connection: Connection, row: AnyRow) -> tuple[Tried, ...]:
    stored = connection.execute(calls.attempts_of(row.id.hex())).all()
    if not stored and row.attempts == 1:  # its only attempt says what the row says
        return (Tried(row.provider, row.model, *(getattr(row, name) for name in _ATTEMPT[2:])),)
    return tuple(Tried(*(getattr(each, name) for name in _ATTEMPT)) for each in stored)


def _witnesses(connection: Connection, row: AnyRow, meters: Mapping[str, int]) -> tuple[Witness, ...]:
    """Those of a merged call; the only one of any other is its row."""
    told = connection.execute(why.witnesses_of(row.id.hex())).all()
    if not told:
        return (Witness(row.source, row.id.hex(), row.started_at, row.usage_quality, dict(meters)),)
    records = [(each, _record.decode(each.record)) for each in told]
    return tuple(
        Witness(each.source, each.id.hex(), call.started_at, call.quality, call.meters) for each, call in records
    )


def _adjustment(row: AnyRow) -> Adjustment:
    named = {name: getattr(row, name) for name in Adjustment.__struct_fields__}
    return Adjustment(**named | {"old_stated": bool(row.old_stated), "is_superseded": bool(row.is_superseded)})


def _first_cost(row: AnyRow, adjustments: tuple[Adjustment, ...]) -> int | None:
    in_force = [each for each in adjustments if not each.is_superseded]
    if in_force and in_force[0].old_cost is None:
        return None
    cost: int | None = row.original_cost_picousd
    return cost


def usd(picousd: int | None) -> str | None:
    """Exact decimal text; None for what is not known."""
    return None if picousd is None else format_usd(picousd)
