"""All that cells are counted from, some thousands of rows at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.ledger import schema
from collector.ledger.cells.counting import Cells
from collector.ledger.rows import Row

Progress = Callable[[int, int], None]  # calls done, calls in all

_ROWS_AT_ONCE = 5_000


def all_rows(connection: Connection) -> Iterator[list[tuple[Row, list[Row]]]]:
    """All calls with their rows of the attempts table, in the order of ids, some thousands at a time."""
    last = b""
    while True:
        rows = connection.exec_driver_sql(
            f"SELECT * FROM calls WHERE id > ? ORDER BY id LIMIT {_ROWS_AT_ONCE}", (last,)
        ).all()
        if not rows:
            return
        tried = connection.exec_driver_sql(
            "SELECT * FROM attempts WHERE call_id > ? AND call_id <= ? AND probe = 0 ORDER BY call_id, n",
            (last, rows[-1][0]),
        )
        yield _together(rows, tried)
        last = rows[-1][0]


def rows_of(connection: Connection, within: str) -> Iterator[list[tuple[Row, list[Row]]]]:
    """Like `all_rows`, of the calls that began in a time or of which an attempt did, in no order.

    `within` is SQL that says so of `started_at`.
    """
    found = connection.exec_driver_sql(
        f"SELECT * FROM calls WHERE {within} UNION ALL SELECT * FROM calls WHERE NOT ({within})"
        f" AND id IN (SELECT call_id FROM attempts WHERE probe = 0 AND {within})"
    )
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        marks = ", ".join("?" * len(rows))
        tried = connection.exec_driver_sql(
            f"SELECT * FROM attempts WHERE call_id IN ({marks}) AND probe = 0 ORDER BY call_id, n",
            tuple(row[0] for row in rows),
        )
        yield _together(rows, tried)


def _together(rows: Iterable[Sequence[Any]], tried: Iterable[Sequence[Any]]) -> list[tuple[Row, list[Row]]]:
    """Rows of calls, each with its own of the rows of attempts."""
    attempts: dict[bytes, list[Row]] = {}
    for attempt in tried:
        attempts.setdefault(attempt[0], []).append(tuple(attempt))
    return [(tuple(row), attempts.get(row[0], [])) for row in rows]


def probes_of(connection: Connection, within: str = "1") -> Iterator[list[Row]]:
    """The probes of a time, rows of the attempts table, some thousands at a time."""
    found = connection.exec_driver_sql(f"SELECT * FROM attempts WHERE probe = 1 AND {within}")
    while some := found.fetchmany(_ROWS_AT_ONCE):
        yield [tuple(row) for row in some]


def count_all(connection: Connection, cells: Cells, progress: Progress | None) -> None:
    """Adds all calls and probes to the cells."""
    in_all = connection.execute(sa.select(sa.func.count()).select_from(schema.calls)).scalar_one()
    done = 0
    for rows in all_rows(connection):
        for row, attempts in rows:
            cells.add(row, attempts)
        cells.write(connection)
        done += len(rows)
        if progress is not None:
            progress(done, in_all)
    for probes in probes_of(connection):
        for probe in probes:
            cells.add_probe(probe)
        cells.write(connection)
