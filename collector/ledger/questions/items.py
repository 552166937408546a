"""The sums that line items are made of: one per group, price set and local day."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Subquery, func, literal_column, or_, select, union_all

from collector.core.meters import METERS
from collector.core.periods import Period
from collector.core.selection import DIMENSIONS, Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.cells import Source, choose, chosen
from collector.ledger.questions.terms import Number, plain
from collector.ledger.schema import names, price_days, price_sets

GROUPS = ("day", *DIMENSIONS)
SUMS = ("calls", "cost", *(meter.column for meter in METERS.values()))
EVERYTHING = Selection()
OLD = "old_"  # stands before the name of a sum: what it was


def sums_by_price(selection: Selection, period: Period, zones: Collection[str], by: Sequence[str]) -> Question:
    """Sums by the groups in `by` (of GROUPS), price set and local day, in that order: a total one, whatever the engine.

    Columns: day (days since 1970), the names of the dimensions in `by` ("" for none), price (the set's digest, "" for
    none), unpriced (0 or 1), then SUMS. By user outside the declared zones it reads all calls.
    """
    source = choose(selection, period, zones, [name for name in by if name != "day"], None)
    return sums_of_source(source, by, selection)


def sums_in_no_order(selection: Selection, period: Period, zones: Collection[str], by: Sequence[str]) -> Question:
    """The same sums as they come, which is quicker."""
    return sums_by_price(selection, period, zones, by).order_by(None)


def quantities_by_price(selection: Selection, period: Period, zones: Collection[str]) -> Question:
    """What was used in the whole period, by provider and price set, in no order.

    Columns: provider ("" for none), price, unpriced, calls, then the columns of METERS; no money, of which many days
    may be more than an engine holds.
    """
    source = choose(selection, period, zones, ("provider",), None)
    keys = [key for key in _keys(source, ("provider",)) if key.name != "day"]
    sums = {label: func.sum(value) for label, value in _sums(source).items() if label != "cost"}
    grouped = select(*keys, *(value.label(label) for label, value in sums.items())).where(chosen(selection, source))
    return _named(grouped.group_by(*_labels(keys)).subquery("sums"), ("provider",), sums)


def sums_of_source(source: Source, by: Sequence[str], selection: Selection = EVERYTHING) -> Question:
    """The same sums, out of a source that is chosen already."""
    keys = _keys(source, by)
    if source.table is price_days and {"model", "provider"} <= set(by):  # every cell is a group of its own
        cells = [value.label(label) for label, value in _sums(source).items()]
        return _in_order(select(*keys, *cells).where(chosen(selection, source)).subquery("sums"), by, SUMS)
    sums = [func.sum(value).label(label) for label, value in _sums(source).items()]
    grouped = select(*keys, *sums).where(chosen(selection, source))
    return _in_order(grouped.group_by(*_labels(keys)).subquery("sums"), by, SUMS)


def changes_by_price(now: Source, before: Source, by: Sequence[str]) -> Question:
    """Where the sums of two sources differ: columns and order as in `sums_by_price`, then what the sums were before,
    each under OLD + its name. Sums that moved from one reason to have no price to another are unchanged."""
    nothing = dict.fromkeys(SUMS, plain(0))
    sides = [(now, _sums(now), nothing), (before, nothing, _sums(before))]
    every = union_all(
        *(
            select(
                *_keys(source, by),
                *(value.label(label) for label, value in new.items()),
                *(value.label(f"{OLD}{label}") for label, value in old.items()),
            ).where(source.where)
            for source, new, old in sides
        )
    ).subquery("every")
    keys = [every.c[key.name] for key in _keys(now, by)]
    sums = {label: func.sum(every.c[label]) for label in (*SUMS, *(f"{OLD}{label}" for label in SUMS))}
    differ = or_(*(sums[label] != sums[f"{OLD}{label}"] for label in SUMS))
    grouped = select(*keys, *(value.label(label) for label, value in sums.items())).group_by(*keys).having(differ)
    return _in_order(grouped.subquery("sums"), by, sums)


def _keys(source: Source, by: Sequence[str]) -> list[Number]:
    dimensions = {f"{name}_key": source.key(name) for name in by if name != "day"}
    keys = {"day": source.day, **dimensions, "price_key": source.key("price")}
    keys["unpriced"] = source.unpriced
    return [value.label(label) for label, value in keys.items()]


def _labels(keys: Iterable[Number]) -> list[Number]:
    return [literal_column(key.name) for key in keys]


def _sums(source: Source) -> dict[str, Number]:
    columns = {"calls": source.amount("calls"), "cost": source.amount("cost")}
    return columns | {meter.column: source.meter(name) for name, meter in METERS.items()}


def _in_order(inner: Subquery, by: Sequence[str], sums: Iterable[str]) -> Question:
    """Sums with the names in place of ids, in the order of the groups, price set, unpriced, day."""
    question = _named(inner, by, sums)
    return question.order_by(*(question.selected_columns[name] for name in (*by, "price", "unpriced", "day")))


def _named(inner: Subquery, by: Sequence[str], sums: Iterable[str]) -> Question:
    joined = inner.outerjoin(price_sets, price_sets.c.id == inner.c.price_key)
    columns = [inner.c.day] if "day" in inner.c else []
    for name in by:
        if name != "day":
            table = names.alias(f"{name}_names")
            joined = joined.outerjoin(table, table.c.id == inner.c[f"{name}_key"])
            columns.append(func.coalesce(table.c.name, "").label(name))
    columns += [func.coalesce(price_sets.c.digest, "").label("price"), inner.c.unpriced]
    return select(*columns, *(inner.c[label] for label in sums)).select_from(joined)
