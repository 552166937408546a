"""Which UTC days of the ledger have changed since they were last proved, kept in the same transaction as the change."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.ledger.engines import writing
from collector.ledger.schema import meta

_TOUCHED, _PROVING = "touched:", "proving:"  # meta, and a UTC day
_PROVED = "proved"  # meta: all that is not named there was proved once
_GAP = 4  # days between two spans for which it is not worth to look twice


class Span(NamedTuple):
    """UTC days from `first` up to but not including `end`; WHOLE is all there are."""

    first: int
    end: int

    def wider(self, days: int) -> "Span":
        """With some days more at both ends."""
        return self if self == WHOLE else Span(self.first - days, self.end + days)

    def in_steps(self, days: int) -> "Span":
        """With what is missing to begin and to end at a multiple of so many days."""
        return self if self == WHOLE else Span(self.first // days * days, -(-self.end // days) * days)

    def within(self, column: str, per_day: int = 1) -> str:
        """SQL that holds for the days of a column that counts so many units a day."""
        return "1" if self == WHOLE else f"{column} >= {self.first * per_day} AND {column} < {self.end * per_day}"


WHOLE = Span(0, 1 << 31)


def touch(connection: Connection, days: Iterable[int]) -> None:
    """Remembers that days have changed."""
    keys = [(f"{_TOUCHED}{day}",) for day in sorted(days)]
    if keys:
        connection.exec_driver_sql("INSERT OR IGNORE INTO meta VALUES (?, '')", keys)


def begin_proof(engine: Engine) -> Sequence[Span]:
    """What has to be proved now. What is touched from now on is left to the next time."""
    with writing(engine).begin() as connection:
        touched = _days(connection, _TOUCHED)
        connection.execute(sa.delete(meta).where(meta.c.key.startswith(_TOUCHED)))
        keys = [(f"{_PROVING}{day}",) for day in touched]
        if keys:
            connection.exec_driver_sql("INSERT OR IGNORE INTO meta VALUES (?, '')", keys)
        if connection.execute(sa.select(meta.c.key).where(meta.c.key == _PROVED)).first() is None:
            return (WHOLE,)
        return spans(_days(connection, _PROVING))


def end_proof(engine: Engine) -> None:
    """What was begun was found right. Without this call it is looked at again the next time."""
    with writing(engine).begin() as connection:
        connection.execute(sa.delete(meta).where(meta.c.key.startswith(_PROVING)))
        connection.execute(sa.insert(meta).prefix_with("OR IGNORE").values(key=_PROVED, value=""))


def spans(days: Sequence[int]) -> list[Span]:
    """Days in order as few spans; those that lie near each other are one."""
    found: list[Span] = []
    for day in days:
        if found and day - found[-1].end <= _GAP:
            found[-1] = Span(found[-1].first, day + 1)
        else:
            found.append(Span(day, day + 1))
    return found


def _days(connection: Connection, prefix: str) -> list[int]:
    keys = connection.execute(sa.select(meta.c.key).where(meta.c.key.startswith(prefix))).scalars()
    return sorted(int(key.removeprefix(prefix)) for key in keys)
