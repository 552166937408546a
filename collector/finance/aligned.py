"""Columns of text."""

from collections.abc import Iterator, Sequence


def aligned(rows: Sequence[Sequence[str]], left: frozenset[int] = frozenset({0}), indent: str = "") -> Iterator[str]:
    """One line for each row, its cells padded to the widest; those of the columns in `left` stand to the left."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))] if rows else []
    for row in rows:
        cells = [
            f"{cell:<{w}}" if n in left else f"{cell:>{w}}" for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        yield (indent + "  ".join(cells)).rstrip()
