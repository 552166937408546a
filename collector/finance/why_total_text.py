"""Why a total is what it is, to be read: a section for each price set, every amount exact."""

from collections.abc import Iterator

from collector.core.money import format_usd
from collector.core.selection import DIMENSIONS, Selection
from collector.finance.aligned import aligned
from collector.finance.explain_text import HEADINGS, item_row, price_lines
from collector.finance.why_total import Part, Total

_LEFT = frozenset({0, 4})


def lines(told: Total, days: str, selection: Selection) -> Iterator[str]:
    """The text of `callmeter explain --from --to`. `days` names them, with their zone."""
    chosen = [f"{name} {' or '.join(selection.names(name))}" for name in DIMENSIONS if selection.names(name)]
    yield f"total of {', '.join([days, *chosen])}"
    for part in told.parts:
        yield ""
        yield from _part(part)
    yield ""
    yield f"{_calls(told.calls)}, {told.unpriced_calls:,} of them unpriced: total {format_usd(told.cost)} USD"
    if told.reported_calls:
        yield _reported(told.reported_calls, told.reported_cost)


def title(part: Part) -> str:
    """How many calls a part has, and what they have in common besides a price set."""
    if part.is_unpriced:
        return f"{_calls(part.calls)} without a price, no part of the total"
    return f"{_calls(part.calls)} by one price" if part.price_id else f"{_calls(part.calls)} that needed no price set"


def remarks(part: Part) -> Iterator[str]:
    """What must be known of a part besides its lines."""
    if part.is_unpriced:
        yield "Why: see `callmeter prices check`, which lists them by model, provider and reason."
    if part.notice:
        yield f"Images: {part.notice}"
    if discount := part.list_cost - part.cost:
        side = "less" if discount > 0 else "more"
        by_list, amount = format_usd(part.list_cost), format_usd(abs(discount))
        yield f"By the list it would be {by_list} USD: this is {amount} USD {side}."
    if part.reported_calls:
        yield _reported(part.reported_calls, part.reported_cost)


def _part(part: Part) -> Iterator[str]:
    yield title(part)
    rows = [HEADINGS, *(item_row(item, part.price) for item in part.items)]
    if part.is_unpriced:
        rows += [(meter, f"{quantity:,}", "", "", "") for meter, quantity in part.meters.items()]
    if part.beyond:
        beyond = format_usd(part.beyond)
        rows.append(("beyond", "1", beyond, beyond, "as the calls came with it"))
    if not part.is_unpriced:
        rows.append(("total", "", "", format_usd(part.cost), ""))
    price = price_lines(part.price_id, part.price, part.source_sentence)
    body = [*price, *(aligned(rows, _LEFT) if len(rows) > 1 else ()), *remarks(part)]
    yield from (f"  {line}".rstrip() for line in body)


def _reported(calls: int, cost: int) -> str:
    return (
        f"For {_calls(calls)} the provider says what it charged: {format_usd(cost)} USD; that is no part of the total."
    )


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"
