"""Tokens, calls and their totals, from rows of `tokens_per_day`, `spend_per_day` and `unpriced_per_day`."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from dashboard import texts
from dashboard.frames.axis import Axis
from dashboard.frames.series import REST, fold, gather, kept, long_frame

INPUT, OUTPUT = "Input", "Output"
IMAGES_IN, IMAGES_OUT = "Input images", "Output images"


class Totals(NamedTuple):
    """The sums of a period; whole numbers, money in picodollars."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    spend: int = 0
    unpriced_calls: int = 0
    unpriced_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def priced_calls(self) -> int:
        return self.calls - self.unpriced_calls


def totals(usage: Sequence[Any], spend: Sequence[Any], unpriced: Sequence[Any]) -> Totals:
    """Sums over all rows, added in Python, where a sum cannot overflow."""
    return Totals(
        calls=sum(row.calls for row in usage),
        tokens_in=sum(row.tokens_in for row in usage),
        tokens_out=sum(row.tokens_out for row in usage),
        spend=sum(row.cost_picousd for row in spend),
        unpriced_calls=sum(row.unpriced_calls for row in spend),
        unpriced_tokens=sum(row.tokens_in + row.tokens_out for row in unpriced),
    )


def names_of(rows: Iterable[Any], dimension: str) -> dict[str, str]:
    """What a screen calls each group: its label, with the name behind it where two share one; None is all others."""
    labels = {row.group: row.label or row.group for row in rows}
    taken = list(labels.values())
    shown = {name: label if taken.count(label) == 1 else f"{label} ({name})" for name, label in labels.items()}
    return {name: REST if name is None else label if name else f"no {dimension}" for name, label in shown.items()}


def series_of(rows: Sequence[Any], dimension: str) -> list[str]:
    """The groups that all charts of a page show by name, those with most tokens first; [] without groups."""
    names = names_of(rows, dimension) if dimension else {}
    return kept(gather((row.day, names[row.group], row.tokens_in + row.tokens_out) for row in rows)) if names else []


def tokens(rows: Sequence[Any], axis: Axis, dimension: str, series: Sequence[str]) -> pd.DataFrame:
    """The long frame of tokens per bucket: of input and output, or of each of `series` when there is a dimension."""
    if dimension:
        names = names_of(rows, dimension)
        amounts = fold(gather((row.day, names[row.group], row.tokens_in + row.tokens_out) for row in rows), series)
    else:
        amounts = gather((row.day, side, amount) for row in rows for side, amount in _sides(row))
    return long_frame(amounts, axis, series or (INPUT, OUTPUT), lambda number: texts.count(number, "token"))


def images(rows: Sequence[Any], axis: Axis, dimension: str, series: Sequence[str]) -> pd.DataFrame:
    """The long frame of images per bucket, from rows of `images_per_day`; series as in `tokens`."""
    if dimension:
        names = names_of(rows, dimension)
        amounts = fold(gather((row.day, names[row.group], row.images_in + row.images_out) for row in rows), series)
    else:
        both = ((IMAGES_IN, "images_in"), (IMAGES_OUT, "images_out"))
        amounts = gather((row.day, side, getattr(row, column)) for row in rows for side, column in both)
    found = {place: number for place, number in amounts.items() if number}
    return long_frame(found, axis, series or (IMAGES_IN, IMAGES_OUT), lambda number: texts.count(number, "image"))


def images_say(rows: Sequence[Any]) -> str:
    """The sentence above the chart of images."""
    given, made = sum(row.images_in for row in rows), sum(row.images_out for row in rows)
    return f"{texts.count(given, 'input image')} and {texts.count(made, 'output image')}"


def image_table(rows: Sequence[Any], axis: Axis, dimension: str) -> pd.DataFrame:
    """The table behind the images chart: newest first, lines with images only."""
    names = names_of(rows, dimension) if dimension else {}
    lines = [
        [*who(row, axis, names), row.images_in, row.images_out]
        for row in sorted(rows, key=lambda row: -row.day)
        if row.images_in or row.images_out
    ]
    return pd.DataFrame(lines, columns=[*who_columns(dimension), IMAGES_IN, IMAGES_OUT])


def _sides(row: Any) -> tuple[tuple[str, int], tuple[str, int]]:
    return (INPUT, row.tokens_in), (OUTPUT, row.tokens_out)


def says(rows: Sequence[Any]) -> str:
    """The sentence above the chart."""
    given, made = sum(row.tokens_in for row in rows), sum(row.tokens_out for row in rows)
    sides = f"{texts.short_count(given)} input and {texts.short_count(made)} output tokens"
    return f"{sides} in {texts.count(sum(row.calls for row in rows), 'call')}"


def per_bucket(rows: Iterable[Any], columns: Sequence[str], axis: Axis) -> list[int]:
    """The sum of columns for every bucket of the axis, 0 where there were no calls; for the small bars of cards."""
    sums: dict[int, int] = {}
    for row in rows:
        sums[row.day] = sums.get(row.day, 0) + sum(getattr(row, column) for column in columns)
    return [sums.get(key, 0) for key in axis.keys]


_TOKEN_COLUMNS = ("Input tokens", "of them cached", "Output tokens", "of them reasoning", "Calls")


def token_table(rows: Sequence[Any], axis: Axis, dimension: str) -> pd.DataFrame:
    """The table behind the tokens chart: newest first, exact numbers."""
    names = names_of(rows, dimension) if dimension else {}
    lines = [
        [*who(row, axis, names), row.tokens_in, row.tokens_cached, row.tokens_out, row.tokens_reasoning, row.calls]
        for row in sorted(rows, key=lambda row: -row.day)
    ]
    return pd.DataFrame(lines, columns=[*who_columns(dimension), *_TOKEN_COLUMNS])


def who(row: Any, axis: Axis, names: dict[str, str]) -> list[str]:
    """The first cells of a table's line: the bucket, and the group when there are groups."""
    return [axis.label(row.day), *([names[row.group]] if names else [])]


def who_columns(dimension: str) -> list[str]:
    """The names of these cells' columns."""
    return ["Day", *([dimension.capitalize()] if dimension else [])]
