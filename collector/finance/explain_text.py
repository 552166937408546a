"""An explanation to be read: calm lines, aligned, every amount exact."""

from collections.abc import Iterator

from collector.core.meters import METERS
from collector.core.money import format_usd
from collector.core.periods import format_day, parse_day
from collector.core.prices import LineItem, PriceSet
from collector.core.prices.checks import conditions, day_text
from collector.finance.aligned import aligned
from collector.finance.explain import Adjustment, Explanation
from collector.finance.records import instant

HEADINGS = ("METER", "QUANTITY", "UNIT PRICE USD", "COST USD", "RULE")
_LABEL = 12
_INDENT = "  "


def lines(told: Explanation) -> Iterator[str]:
    """The text of `callmeter explain`."""
    yield f"call {told.call['id']}, {told.call['started_at']}"
    for label, text in _facts(told):
        yield f"{_INDENT}{label:<{_LABEL}} {text}"
    yield from _section("plan", _plan(told))
    yield from _section("attempts", _attempts(told))
    yield from _section("cost", _cost(told))
    yield from _section("price", price_lines(told.call["price_id"], told.price, told.source_sentence))
    yield from _section("adjustments", adjustments(told))
    yield from _section("told by", _witnesses(told))


def _facts(told: Explanation) -> Iterator[tuple[str, str]]:
    call = told.call
    served = call["served_model"]
    yield "model", f"{call['model'] or 'not stated'}" + (f", served as {served}" if served else "")
    yield "provider", call["provider"] or "none was asked"
    if tier := told.asked.get("service_tier"):
        yield "tier", tier
    who = [f"{name} {call[name]}" for name in ("app", "key", "user") if call[name]]
    if who:
        yield "for", ", ".join(who)
    yield "outcome", ", ".join(filter(None, _outcome(told)))
    quality = "none reported" if call["usage_quality"] == "none" else call["usage_quality"]
    yield "usage", f"{quality}, {told.input_tokens:,} tokens in, {told.output_tokens:,} tokens out"
    if told.usage_problem:
        yield "problem", told.usage_problem


def _outcome(told: Explanation) -> Iterator[str | None]:
    call = told.call
    yield call["outcome"]
    yield f"HTTP {call['http_status']}" if call["http_status"] is not None else None
    yield call["error_type"]
    yield f"finished by {call['finish_reason']}" if call["finish_reason"] else None
    yield f"{call['latency_ms']:,} ms" if call["latency_ms"] is not None else None


def _section(title: str, body: Iterator[str]) -> Iterator[str]:
    found = list(body)
    if found:
        yield ""
        yield title
        yield from (f"{_INDENT}{line}".rstrip() for line in found)


def _attempts(told: Explanation) -> Iterator[str]:
    rows = [
        (
            str(n),
            each.provider or "-",
            each.model or "-",
            each.outcome,
            str(each.http_status or "-"),
            each.error_type or "",
            f"{each.latency_ms:,} ms" if each.latency_ms is not None else "-",
        )
        for n, each in enumerate(told.attempts, start=1)
    ]
    return aligned(rows, left=frozenset({1, 2, 3, 4, 5}))


def _plan(told: Explanation) -> Iterator[str]:
    if told.plan is not None:
        yield f"by {told.plan.by}"
        yield from aligned([_endpoint(each) for each in told.plan.endpoints], left=frozenset(range(3)))


def _endpoint(planned: tuple[str, ...]) -> tuple[str, str, str]:
    provider, verdict, *model = planned
    return (provider, model[0], verdict) if model else (provider, verdict, "")


def _cost(told: Explanation) -> Iterator[str]:
    yield told.sentence
    rows = [HEADINGS, *(item_row(item, told.price) for item in told.items if item.quantity)]
    if told.price is None:
        rows += [(meter, f"{quantity:,}", "", "", "") for meter, quantity in told.meters.items() if quantity]
    if told.beyond:
        rows.append(("beyond", "1", format_usd(told.beyond), format_usd(told.beyond), "as the call came with it"))
    if told.cost is not None:
        rows.append(("total", "", "", format_usd(told.cost), ""))
    if len(rows) > 1:
        yield from aligned(rows, left=frozenset({0, 4}))
    yield from remarks(told)


def remarks(told: Explanation) -> Iterator[str]:
    """What must be known of a cost besides its lines: images paid on top, what is reported, what it was, what to do."""
    if told.notice:
        yield f"Images: {told.notice}"
    yield from _reported(told)
    if told.first_cost != told.cost:
        yield f"At first it {_money(told.first_cost)}; see adjustments."
    if told.cost is None and told.call["usage_quality"] != "none":
        day = parse_day(told.call["started_at"][:10])
        days = f"--from {format_day(day)} --to {format_day(day + 1)} --zone UTC"
        yield f"Give it a price with `callmeter prices add FILE`, then run `callmeter reprice {days}`."


def item_row(item: LineItem, price: PriceSet | None) -> tuple[str, str, str, str, str]:
    """The cells of a line item under HEADINGS."""
    return item.meter, f"{item.quantity:,}", format_usd(item.unit_price), format_usd(item.cost), rule_of(item, price)


def rule_of(item: LineItem, price: PriceSet | None) -> str:
    """Where a unit price comes from, as it is listed where it is."""
    listed = price.listed.get(item.meter) if price else None
    return f"listed: {listed}" if listed and item.rule == "listed" else item.rule


def _reported(told: Explanation) -> Iterator[str]:
    if told.reported_cost is None:
        return
    by = told.call["provider"] or "the provider"
    text = f"{by} says that it charged {format_usd(told.reported_cost)} USD"
    if own := told.asked.get("own_key_cost_picousd"):
        text += f" ({format_usd(own)} USD of them paid upstream with an own key)"
    if told.difference is None:
        yield f"{text}; that is shown beside the cost, never in its place."
    elif told.difference == 0:
        yield f"{text}, which is the cost."
    else:
        side = "more" if told.difference > 0 else "less"
        yield f"{text}, {format_usd(abs(told.difference))} USD {side} than the cost."


def price_lines(price_id: str, price: PriceSet | None, source: str | None) -> Iterator[str]:
    """What a price set is, when it holds, and who stated it; nothing where there is none."""
    if price is None:
        return
    yield f"{price_id}: {price.model} at {price.provider or 'any provider'}, {conditions(price)}"
    yield f"in force {_dates(price)}; images: {price.images}"
    if price.list_prices:
        yield f"an own price; the list ({price.list_source}) says {_list_text(price)}"
    if source:
        yield source


def _list_text(price: PriceSet) -> str:
    prices = ((meter, price.list_prices[meter]) for meter in METERS if meter in price.list_prices)
    return ", ".join(f"{meter} {format_usd(usd)} USD" for meter, usd in prices)


def _dates(price: PriceSet) -> str:
    if price.starts is None and price.until is None:
        return "at all times"
    start = "" if price.starts is None else f"from {day_text(price.starts)}"
    end = "" if price.until is None else f"until {day_text(price.until)}"
    return f"{start} {end}".strip()


def adjustments(told: Explanation) -> Iterator[str]:
    """Every change of the cost since: when, by whom, from what to what, why."""
    return map(_adjustment, told.adjustments)


def _adjustment(each: Adjustment) -> str:
    old = f"unpriced ({each.old_reason})" if each.old_cost is None else f"{format_usd(each.old_cost)} USD"
    new = f"unpriced ({each.new_reason})" if each.new_cost is None else f"{format_usd(each.new_cost)} USD"
    notes = [
        " (it came with the call)" if each.old_stated else "",
        " (a better record came later)" * each.is_superseded,
    ]
    return f"{instant(each.at)} by {each.who}: {old}{notes[0]} -> {new}, because: {each.why}{notes[1]}"


def _money(cost: int | None) -> str:
    return "was unpriced" if cost is None else f"cost {format_usd(cost)} USD"


def _witnesses(told: Explanation) -> Iterator[str]:
    rows = [(each.source, each.id, instant(each.started_at), f"usage {each.usage_quality}") for each in told.witnesses]
    return aligned(rows, left=frozenset(range(4)))
