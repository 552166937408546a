"""CSV cells that are safe in a spreadsheet and exact for a program."""

import csv
from collections.abc import Iterable, Sequence

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")


def safe_text(text: str) -> str:
    """Text that a spreadsheet will not run: one ' in front of what starts with = + - @ tab, CR or '.

    Rule: OWASP, CSV injection; the ' itself is doubled so that `plain_text` gives every text back.
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def plain_text(cell: str) -> str:
    """The text that `safe_text` made a cell of."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(_FORMULA_STARTS) else cell


class Rows:
    """Makes lines of CSV out of rows: fields quoted where they must be, lines ended by a newline alone."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        # csv quotes a carriage return inside a field only where it is part of the line's end.
        self._writer = csv.writer(self, lineterminator="\r\n")

    def write(self, line: str) -> None:
        """Takes a line from csv."""
        self._lines.append(line[:-2])

    def text(self, rows: Iterable[Sequence[object]]) -> str:
        """The lines of rows."""
        self._writer.writerows(rows)
        text = "\n".join([*self._lines, ""])
        self._lines.clear()
        return text
