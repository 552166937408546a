"""What has been booked: the closed months, and for every usage day what they booked of it.

A ledger closes in one zone. Usage of a month up to the last closed one is booked: what changes of it later is booked
as a correction in the first open month. Later months book their own usage.
"""

from collections.abc import Collection, Iterator

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.core.periods import QUARTER_S, SECOND_US, Period, day_bounds, day_number
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.cells import Source, choose
from collector.ledger.schema import booked, closed_files, closed_pieces, closes, names, usage_quarters

BEFORE = 0  # the close under which stands what was used before the first closed month
BY = ("day", "model", "provider", "app", "key")  # the groups of what is booked


class Closed(msgspec.Struct, frozen=True):
    """A close that holds."""

    id: int
    month: str
    first_day: int
    end_day: int
    closed_at: int


class Books(msgspec.Struct, frozen=True):
    """The state of a ledger's books. `zone` is None until the first close."""

    zone: str | None = None
    closed: tuple[Closed, ...] = ()  # in order

    @property
    def open_day(self) -> int | None:
        """The first day, in the zone, that is not booked; None while no month is closed."""
        return self.closed[-1].end_day if self.closed else None

    def close_of(self, month: str) -> Closed | None:
        """The close of a month."""
        return next((each for each in self.closed if each.month == month), None)


def books_of(connection: Connection) -> Books:
    """The books as they stand."""
    zone = connection.scalar(sa.select(closes.c.zone).limit(1))
    columns = [closes.c[name] for name in Closed.__struct_fields__]
    query = sa.select(*columns).where(closes.c.reopened_at.is_(None)).order_by(closes.c.first_day)
    return Books(zone, tuple(Closed(*row) for row in connection.execute(query)))


def books(engine: Engine) -> Books:
    """The books as they stand."""
    with engine.connect() as connection:
        return books_of(connection)


def first_open_us(connection: Connection) -> int | None:
    """The first instant that is not booked yet: nothing from it on may be pruned. None: no month is closed."""
    state = books_of(connection)
    return None if state.open_day is None or state.zone is None else day_bounds(state.open_day, state.zone)[0]


def history() -> Question:
    """Every close there was, oldest first: id, month, zone, closed_at, closed_by, reopened_at, reopened_by,
    reopened_why, and manifest (JSON) of its CSV."""
    c = closes.c

    def name_of(column: sa.ColumnElement[int | None]) -> sa.ColumnElement[str]:
        return sa.select(names.c.name).where(names.c.id == column).scalar_subquery()

    return (
        sa.select(
            c.id,
            c.month,
            c.zone,
            c.closed_at,
            name_of(c.closed_by).label("closed_by"),
            c.reopened_at,
            name_of(c.reopened_by).label("reopened_by"),
            name_of(c.reopened_why).label("reopened_why"),
            closed_files.c.manifest,
        )
        .select_from(
            closes.outerjoin(closed_files, sa.and_(closed_files.c.close == c.id, closed_files.c.format == "csv"))
        )
        .order_by(c.id)
    )


def stored_manifest(connection: Connection, close: int, file_format: str) -> bytes | None:
    """The manifest that a close stored with its file of a format; None where it stored none."""
    query = sa.select(closed_files.c.manifest).where(
        closed_files.c.close == close, closed_files.c.format == file_format
    )
    return connection.scalar(query)


def stored_pieces(connection: Connection, close: int, file_format: str) -> Iterator[bytes]:
    """The compressed pieces of a stored file, in order."""
    p = closed_pieces.c
    query = sa.select(p.content).where(p.close == close, p.format == file_format).order_by(p.n)
    return iter(connection.execute(query.execution_options(yield_per=1)).scalars())


def first_day(connection: Connection, zone: str) -> int:
    """The first day in a zone of which anything is used or booked; the day of 1970-01-01 when there is none."""
    quarter = connection.scalar(sa.select(sa.func.min(usage_quarters.c.quarter)))
    day = connection.scalar(sa.select(sa.func.min(booked.c.day)))
    used_day = None if quarter is None else day_number(quarter * QUARTER_S * SECOND_US, zone)
    return min((each for each in (used_day, day) if each is not None), default=0)


def last_used_us(connection: Connection) -> int:
    """The last instant of the last quarter-hour in which anything was used; 0 when there is none."""
    quarter = connection.scalar(sa.select(sa.func.max(usage_quarters.c.quarter)))
    return 0 if quarter is None else (quarter + 1) * QUARTER_S * SECOND_US - 1


def used(period: Period, zones: Collection[str]) -> Source:
    """What was used in a period, as far as groups of BY go."""
    return choose(Selection(), period, zones, BY[1:], None)


def booked_in(first_day: int, end_day: int, up_to: int | None = None) -> Source:
    """What is booked of usage days, by all closes, or by those up to one."""
    where = sa.and_(booked.c.day >= first_day, booked.c.day < end_day)
    return Source(booked, booked.c.day, where if up_to is None else sa.and_(where, booked.c.close <= up_to))
