"""The words of which questions are made: numbers and ids in SQL, conditions on names, sums with their names."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Label,
    Select,
    Subquery,
    case,
    column,
    func,
    literal_column,
    or_,
    select,
    values,
)

from collector.core.periods import DAY_S, Period, offsets
from collector.ledger.questions.ask import Question
from collector.ledger.schema import names

Number = ColumnElement[int]
OTHERS = -1  # the id of all names that are folded into one


def local_day(seconds: Number, period: Period) -> Number:
    """The local day of a column of seconds since 1970, by the zone's offsets within the period."""
    first, *later = offsets(period)
    cases = [(seconds >= start, plain(offset)) for start, offset in reversed(later)]
    offset = case(*cases, else_=plain(first[1])) if cases else plain(first[1])
    return (seconds + offset) // plain(DAY_S)


def local_day_of_noon(day: Number, period: Period) -> Number:
    """The local day of a column of UTC days, by their noon."""
    return local_day(day * plain(DAY_S) + plain(DAY_S // 2), period)


def is_one_of(key: Number, dimension: str, values: tuple[str, ...]) -> ColumnElement[bool]:
    """Whether an id is that of one of the names of a dimension; "" stands for no name."""
    without = [key == 0] if "" in values else []
    return or_(key.in_(ids_of(dimension, [value for value in values if value])), *without)


def plain(number: int) -> Number:
    """A number written into the SQL, so that an engine can tell that two expressions are the same."""
    return literal_column(str(number), BigInteger)


def table_of(name: str, columns: Sequence[str], rows: Sequence[tuple[int | None, ...]]) -> CTE:
    """Rows of numbers, at least one, written into the SQL as a table."""
    its_columns = [column(each, Integer) for each in columns]
    return values(*its_columns, name=name, literal_binds=True).data(list(rows)).cte(name)


def zone_id(zone: str) -> Number:
    """The id of a declared zone, as a subquery that the engine reads once."""
    return select(names.c.id).where(names.c.kind == "zone", names.c.name == zone).scalar_subquery()


def ids_of(kind: str, chosen_names: Collection[str]) -> Select[tuple[int]]:
    """The ids of names of one kind."""
    return select(names.c.id).where(names.c.kind == kind, names.c.name.in_(sorted(set(chosen_names))))


def summed(sums: Mapping[str, Number]) -> list[Label[int]]:
    """The sums of columns, under their labels."""
    return [func.sum(value).label(label) for label, value in sums.items()]


def named(sums: Subquery, id_column: str, time_column: str, columns: Iterable[str]) -> Question:
    """Sums with the name of one of their ids, as group and label, ordered by time and name; all others have None."""
    name = case((sums.c[id_column] == plain(OTHERS), None), else_=func.coalesce(names.c.name, ""))
    return (
        select(
            sums.c[time_column],
            name.label("group"),
            func.coalesce(names.c.label, names.c.name, "").label("label"),
            *(sums.c[column] for column in columns),
        )
        .select_from(sums.outerjoin(names, names.c.id == sums.c[id_column]))
        .order_by(sums.c[time_column], name)
    )
