"""Long frames for bars and lines: one row per bucket and series, with the value to draw and the exact text to show."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd

from dashboard.frames.axis import Axis

COLUMNS = ["label", "series", "value", "text"]
MOST_SERIES = 6
REST = "all others"

Amounts = Mapping[tuple[int, str], int]  # (bucket, series) -> exact amount


def total_by_series(amounts: Amounts) -> dict[str, int]:
    """The exact sum of each series, largest first, equal ones by name."""
    sums: dict[str, int] = {}
    for (_, name), amount in amounts.items():
        sums[name] = sums.get(name, 0) + amount
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def kept(amounts: Amounts, most: int = MOST_SERIES) -> list[str]:
    """The series that are shown by name, largest first, and REST last when there are more or some are folded."""
    series = list(total_by_series(amounts))
    names = [name for name in series if name != REST]
    return names if names == series and len(names) <= most else [*names[: most - 1], REST]


def fold(amounts: Amounts, names: Sequence[str]) -> dict[tuple[int, str], int]:
    """The same amounts with every series that is not in `names` summed into REST, so that the total stays the same."""
    return gather((bucket, name if name in names else REST, amount) for (bucket, name), amount in amounts.items())


def long_frame(
    amounts: Amounts, axis: Axis, names: Sequence[str], text: Callable[[int], str], scale: int = 1
) -> pd.DataFrame:
    """One row per bucket and series that has an amount; a bucket without one has no row, so that a gap stays a gap.

    `value` is the amount divided by `scale`, for drawing only; `text` is exact.
    """
    labels = dict(zip(axis.keys, axis.labels, strict=True))
    rows = [
        (labels[bucket], name, amounts[bucket, name] / scale, text(amounts[bucket, name]))
        for name in names
        for bucket in axis.keys
        if (bucket, name) in amounts
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def gather(rows: Iterable[tuple[int, str, int]]) -> dict[tuple[int, str], int]:
    """Amounts of (bucket, series, amount) rows, added in Python, where a sum cannot overflow."""
    amounts: dict[tuple[int, str], int] = {}
    for bucket, name, amount in rows:
        amounts[bucket, name] = amounts.get((bucket, name), 0) + amount
    return amounts
