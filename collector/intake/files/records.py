"""CSV records from lines: a quoted field may span lines, a broken quote costs its own line and no other."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from collector.intake.files.lines import Line
from collector.intake.files.reading import Rejected

MAX_RECORD_LINES = 100
MAX_RECORD_CHARS = 128 * 1024


class Record(NamedTuple):
    """The fields of a row, the number of its first line, and its text."""

    line: int
    fields: list[str]
    text: str


def records(lines: Iterable[Line | Rejected], delimiter: str = ",") -> Iterator[Record | Rejected]:
    """The rows of a CSV file (RFC 4180), its header among them; empty lines are left out.

    A row with an open quote takes following lines until it closes; where that makes no row of the same width as the
    first, only the line with the quote is rejected.
    """
    source, waiting = iter(lines), deque[Line | Rejected]()
    width = 0
    while (line := _next(source, waiting)) is not None:
        if isinstance(line, Rejected):
            yield line
            continue
        if not line.text.strip():
            continue
        row = _row(line, source, waiting, delimiter, width)
        if isinstance(row, Record):
            width = width or len(row.fields)
        yield row


def _row(
    line: Line, source: Iterator[Line | Rejected], waiting: deque[Line | Rejected], delimiter: str, width: int
) -> Record | Rejected:
    if line.text.count('"') % 2 == 0:
        return _parsed(line.number, line.text, delimiter, width)
    rest = _rest_of_quoted(line, source, waiting)
    if rest:
        row = _parsed(line.number, "\n".join([line.text, *(each.text for each in rest)]), delimiter, width)
        if isinstance(row, Record):
            return row
    waiting.extendleft(reversed(rest))
    return Rejected(line.number, "a quote is opened and not closed", line.text)


def _rest_of_quoted(line: Line, source: Iterator[Line | Rejected], waiting: deque[Line | Rejected]) -> list[Line]:
    """The following lines up to the one that closes an open quote; none, all put back, where none does."""
    taken: list[Line] = []
    chars = len(line.text)
    while len(taken) < MAX_RECORD_LINES and chars < MAX_RECORD_CHARS:
        following = _next(source, waiting)
        if following is None:
            break
        if isinstance(following, Rejected):
            waiting.appendleft(following)
            break
        taken.append(following)
        chars += len(following.text)
        if following.text.count('"') % 2:
            return taken
    waiting.extendleft(reversed(taken))
    return []


def _parsed(number: int, text: str, delimiter: str, width: int) -> Record | Rejected:
    try:
        fields = next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return Rejected(number, f"not CSV: {error}", text)
    if width and len(fields) != width:
        return Rejected(number, f"the row has {len(fields)} fields, the header has {width}", text)
    return Record(number, fields, text)


def _next(source: Iterator[Line | Rejected], waiting: deque[Line | Rejected]) -> Line | Rejected | None:
    return waiting.popleft() if waiting else next(source, None)
