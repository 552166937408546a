"""An explanation as plain values: every amount as exact decimal text, every instant as text."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from collector.core.meters import METERS
from collector.core.prices import LineItem, PriceSet
from collector.finance.explain import Adjustment, Explanation, usd
from collector.finance.records import instant
from collector.finance.why_booked import Booking, Net, Section
from collector.finance.why_total import Part, Total

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_plain(told: Explanation) -> dict[str, Any]:
    """The document that `callmeter explain --json` prints."""
    return {
        "call": told.call,
        **{name: told.asked.get(name) for name in ("service_tier", "session", "native_finish_reason", "app_title")},
        "plan": _plan(told),
        "attempts": [msgspec.structs.asdict(each) | {"started_at": instant(each.started_at)} for each in told.attempts],
        "usage": {
            "quality": told.call["usage_quality"],
            "problem": told.usage_problem,
            "meters": told.meters,
            "input_tokens": told.input_tokens,
            "output_tokens": told.output_tokens,
        },
        "cost": {
            "cost_usd": usd(told.cost),
            "currency": "USD",
            "came_with_the_call": told.is_stated,
            "why": told.sentence,
            "unpriced_reason": told.call["unpriced_reason"],
            "items": [_item(item, told.price) for item in told.items],
            "beyond_items_usd": usd(told.beyond),
            "first_cost_usd": usd(told.first_cost),
            "notice": told.notice,
        },
        "price": _price(told.price, told.call["price_id"], told.source_sentence),
        "reported": {
            "cost_usd": usd(told.reported_cost),
            "beyond_cost_usd": usd(told.difference),
            "own_key_usd": usd(told.asked.get("own_key_cost_picousd")),
        },
        "adjustments": [_adjustment(each) for each in told.adjustments],
        "witnesses": [
            msgspec.structs.asdict(each) | {"started_at": instant(each.started_at)} for each in told.witnesses
        ],
    }


def total_to_plain(told: Total) -> dict[str, Any]:
    """The document that `callmeter explain --from --to --json` prints, without what was asked for."""
    return {
        "calls": told.calls,
        "unpriced_calls": told.unpriced_calls,
        "cost_usd": usd(told.cost),
        "currency": "USD",
        "reported": {"calls": told.reported_calls, "cost_usd": usd(told.reported_cost)},
        "parts": [_part(part) for part in told.parts],
    }


def booking_to_plain(told: Booking) -> dict[str, Any]:
    """The document that `callmeter explain --booked --json` prints."""
    return {
        "month": told.month,
        "zone": told.zone,
        "closed_at": None if told.closed_at is None else instant(told.closed_at),
        "cost_usd": usd(told.cost),
        "currency": "USD",
        "sections": [_section(section) for section in told.sections],
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "corrects": section.corrects or None,
        "cost_usd": usd(section.cost),
        "lines": [_net(net) for net in section.lines],
        "priced_anew": [
            {"who": each.who, "why": each.why, "calls": each.calls, "cost_usd": usd(each.cost)}
            for each in section.priced_anew
        ],
        "arrived_or_told_better_usd": usd(section.arrived) if section.corrects else None,
    }


def _net(net: Net) -> dict[str, Any]:
    plain = msgspec.structs.asdict(net)
    price, cost = plain.pop("unit_price"), plain.pop("cost")
    return plain | {"unit_price_usd": usd(price), "cost_usd": usd(cost), "price_id": net.price_id or None}


def _part(part: Part) -> dict[str, Any]:
    return {
        "price": _price(part.price, part.price_id, part.source_sentence),
        "unpriced": part.is_unpriced,
        "calls": part.calls,
        "meters": part.meters,
        "items": [_item(item, part.price) for item in part.items],
        "beyond_items_usd": usd(part.beyond),
        "cost_usd": None if part.is_unpriced else usd(part.cost),
        "list_cost_usd": None if part.is_unpriced else usd(part.list_cost),
        "reported": {"calls": part.reported_calls, "cost_usd": usd(part.reported_cost)},
        "notice": part.notice,
    }


def _plan(told: Explanation) -> dict[str, Any] | None:
    if told.plan is None:
        return None
    names = ("provider", "verdict", "model")
    return {"by": told.plan.by, "endpoints": [dict(zip(names, each, strict=False)) for each in told.plan.endpoints]}


def _item(item: LineItem, price: PriceSet | None) -> dict[str, Any]:
    return {
        "meter": item.meter,
        "unit": item.unit,
        "quantity": item.quantity,
        "unit_price_usd": usd(item.unit_price),
        "cost_usd": usd(item.cost),
        "rule": item.rule,
        "listed": price.listed.get(item.meter) if price else None,
    }


def _price(price: PriceSet | None, price_id: str, source: str | None) -> dict[str, Any] | None:
    if price is None:
        return None
    return {
        "price_id": price_id,
        "model": price.model,
        "provider": price.provider,
        "tier": price.tier,
        "key": price.key,
        "above_tokens": price.above_tokens,
        "hours_utc": [f"{a // 60:02}:{a % 60:02}-{b // 60:02}:{b % 60:02}" for a, b in price.hours],
        "from": _moment(price.starts),
        "until": _moment(price.until),
        "images": price.images,
        "minimum_usd": usd(price.minimum),
        "unit_prices_usd": {name: usd(each) for name, each in price.prices.items() if name in METERS},
        "list_prices_usd": {name: usd(each) for name, each in price.list_prices.items() if name in METERS},
        "list_source": price.list_source,
        "source": price.source,
        "checked": price.checked,
        "why": source,
    }


def _moment(us: int | None) -> str | None:
    return None if us is None else (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")


def _adjustment(each: Adjustment) -> dict[str, Any]:
    plain = msgspec.structs.asdict(each)
    old, new = plain.pop("old_cost"), plain.pop("new_cost")
    return plain | {"at": instant(each.at), "old_cost_usd": usd(old), "new_cost_usd": usd(new)}
