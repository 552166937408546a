"""The sums that line items are made of: one per group, price set and local day."""

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, case, func, literal_column, select

from collector.core.meters import METERS
from collector.core.periods import Period
from collector.core.selection import DIMENSIONS, Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.cells import Number, Source, choose, chosen
from collector.ledger.schema import names, price_sets

GROUPS = ("day", *DIMENSIONS)


def sums_by_price(selection: Selection, period: Period, zones: Collection[str], by: Sequence[str]) -> Question:
    """Sums by the groups in `by` (of GROUPS), price set and local day, in that order: a total one, whatever the engine.

    Columns: day (days since 1970), the names of the dimensions in `by` ("" for none), price (the set's digest, "" for
    none), unpriced (0 or 1), calls, cost, then METERS' columns. By user outside the declared zones it reads all calls.
    """
    dimensions = [name for name in by if name != "day"]
    source = choose(selection, period, zones, dimensions, None)
    keys = _keys(source, dimensions)
    columns = {"calls": source.amount("calls"), "cost": source.amount("cost")}
    columns |= {meter.column: source.meter(name) for name, meter in METERS.items()}
    sums = [func.sum(value).label(label) for label, value in columns.items()]
    grouped = select(*(value.label(label) for label, value in keys.items()), *sums)
    inner = grouped.where(chosen(selection, source)).group_by(*map(literal_column, keys)).subquery("sums")

    texts: dict[str, ColumnElement[str]] = {}
    joined = inner.outerjoin(price_sets, price_sets.c.id == inner.c.price_key)
    for name in dimensions:
        table = names.alias(f"{name}_names")
        joined = joined.outerjoin(table, table.c.id == inner.c[f"{name}_key"])
        texts[name] = func.coalesce(table.c.name, "")
    digest: ColumnElement[str] = func.coalesce(price_sets.c.digest, "")
    ordered = [inner.c.day if name == "day" else texts[name] for name in by]
    return (
        select(
            inner.c.day,
            *(text.label(name) for name, text in texts.items()),
            digest.label("price"),
            inner.c.unpriced,
            *(inner.c[label] for label in columns),
        )
        .select_from(joined)
        .order_by(*ordered, digest, inner.c.unpriced, inner.c.day)
    )


def _keys(source: Source, dimensions: Sequence[str]) -> dict[str, Number]:
    return {
        "day": source.day,
        **{f"{name}_key": source.key(name) for name in dimensions},
        "price_key": source.key("price"),
        "unpriced": case((source.key("reason") != 0, 1), else_=0),
    }
