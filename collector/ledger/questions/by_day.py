"""Sums of a source by local day, and by name where a selection groups."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    CompoundSelect,
    FromClause,
    Select,
    Subquery,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.sql.visitors import replacement_traverse

from collector.core.selection import DIMENSIONS, Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.cells import Source, chosen, named_in
from collector.ledger.questions.terms import OTHERS, Number, named, plain, summed, table_of
from collector.ledger.questions.utc_days import Moved

_CALLS = "all_calls"
_MOST_NAMES_BY_DAY = 50  # of a filter, which stands in each of its days


def per_day(
    selection: Selection, source: Source, group: str, sums: Mapping[str, Number], *only: ColumnElement[bool]
) -> Question:
    """Sums of `sums` by local day, and by name when `group` is a key of the source; `only` are further conditions.

    Columns: day (days since 1970), group (the name, "" for none; None for all others, where many are folded) and label
    (what a screen shows for it) when grouped, then those of `sums`.
    """
    if group and group == source.dimension and source.leaders is not None and not selection.names(group):
        return _folded(source, source.leaders, sums)
    is_cut = bool(source.by_day) and sum(len(selection.names(name)) for name in DIMENSIONS) <= _MOST_NAMES_BY_DAY
    if is_cut or source.in_utc is not None:
        by_parts = _day_by_day if source.in_utc is None else _of_utc_days
        found = by_parts(selection, source, group, sums, *only)
        if group:
            return named(found, "group_id", "day", sums)
        columns = [found.c[label] for label in sums]
        return select(found.c.day, *columns).where(columns[0].is_not(None)).order_by(found.c.day)
    question = select(source.day.label("day"), *summed(sums)).where(chosen(selection, source), *only)
    if not group:
        return question.group_by(literal_column("day")).order_by(literal_column("day"))
    inner = question.add_columns(source.key(group).label("group_id"))
    inner_table = inner.group_by(literal_column("day"), literal_column("group_id")).subquery("sums")
    return named(inner_table, "group_id", "day", sums)


def _folded(source: Source, leaders: CompoundSelect[tuple[int]], sums: Mapping[str, Number]) -> Question:
    """Leading names with sums of their own, and all others of a day in one: what its total has beyond them."""
    columns, its_id = summed({**sums, _CALLS: source.amount("calls")}), source.key(source.dimension)
    mine = select(source.day.label("day"), its_id.label("group_id"), *columns).where(source.where, its_id.in_(leaders))
    led = mine.group_by(literal_column("day"), literal_column("group_id")).cte("led")
    whole = select(source.day.label("day"), *columns).where(source.whole)
    labels = [it.name for it in columns]
    parts = union_all(
        whole.group_by(literal_column("day")), select(led.c.day, *((-led.c[label]).label(label) for label in labels))
    ).subquery("parts")
    rest = select(parts.c.day, plain(OTHERS).label("group_id"), *(func.sum(parts.c[label]) for label in labels))
    every = union_all(select(led), rest.group_by(parts.c.day).having(func.sum(parts.c[_CALLS]) > 0)).subquery("sums")
    return named(every, "group_id", "day", sums)


def _day_by_day(
    selection: Selection, source: Source, group: str, sums: Mapping[str, Number], *only: ColumnElement[bool]
) -> Subquery:
    """Each day by itself: many small sorts instead of a large one. Days without calls have no group, or no sums."""
    parts = []
    for day, where in source.by_day:
        part = select(plain(day).label("day"), *summed(sums))
        part = part.where(chosen(selection, msgspec.structs.replace(source, where=where)), *only)
        if group:
            part = part.add_columns(source.key(group).label("group_id")).group_by(literal_column("group_id"))
        parts.append(part)
    return union_all(*parts).subquery("sums")


def _of_utc_days(
    selection: Selection, source: Source, group: str, sums: Mapping[str, Number], *only: ColumnElement[bool]
) -> Subquery:
    """Each day as the UTC day that holds most of it, with what it has beyond that, less what others have of it."""
    columns = summed({**sums, _CALLS: source.amount("calls")})
    labels = [it.name for it in columns]
    keys: list[Number] = [literal_column("group_id")] if group else []

    def cells(its: Source) -> Select[*tuple[Any, ...]]:
        """The sums of all cells of a table that are chosen, by name."""
        found = select(*(_in_table(source.table, its.table, it) for it in columns))
        found = found.where(*(_in_table(source.table, its.table, it) for it in only), *named_in(selection, its))
        return found.add_columns(its.key(group).label("group_id")) if group else found

    assert source.in_utc is not None
    of_days, day = cells(source.in_utc).where(source.in_utc.where), source.in_utc.day.label("day")
    every = [of_days.add_columns(day).group_by(literal_column("day"), *keys)]
    if source.moved:
        part = table_of("parts_of_days", Moved._fields, source.moved).c
        of_parts = cells(source).where(source.begun >= part.first, source.begun < part.end)
        moved = of_parts.add_columns(part.first).group_by(part.first, *keys).cte("moved")
        ids, its = [moved.c[key.name] for key in keys], moved.c.first == part.first
        less = ((-moved.c[label]).label(label) for label in labels)
        every += [
            select(*(moved.c[label] for label in labels), *ids, part.day).where(its),
            select(*less, *ids, part.counted_in).where(its, part.counted_in.is_not(None)),
        ]
    parts = union_all(*every).subquery("parts")
    groups = [parts.c.day, *(parts.c[key.name] for key in keys)]
    added = [func.sum(parts.c[label]).label(label) for label in labels]
    return select(*groups, *added).group_by(*groups).having(func.sum(parts.c[_CALLS]) > 0).subquery("sums")


def _in_table(of: FromClause, table: FromClause, value: ColumnElement[Any]) -> ColumnElement[Any]:
    """An expression of columns of one table of cells, of those of another one."""

    def its(element: Any, **kw: Any) -> Any:
        return table.c[element.name] if isinstance(element, ColumnClause) and element.table is of else None

    found: ColumnElement[Any] = replacement_traverse(value, {}, its)
    return found
