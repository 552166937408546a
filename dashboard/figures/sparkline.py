"""The small line of a card, as a shape that CSS cuts out: a chart library would cost a page its quickness."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

_GAP = 0.2  # between two bars, of the room of one
_HALF = 3  # as thick is a line on either side, in percent of the height
_WIDE = 4  # times as wide as high it is drawn, about; so steep parts are as thick as flat ones
Point = tuple[float, float]  # percent from the left and from above


def bars(values: Sequence[float]) -> str:
    """A bar for each value, from 0 up to the largest."""
    most, room = max(values) or 1, 100 / len(values)
    places = [(n * room, (n + 1 - _GAP) * room, 100 - 100 * value / most) for n, value in enumerate(values)]
    return _polygon([point for x, end, y in places for point in ((x, 100.0), (x, y), (end, y), (end, 100.0))])


def line(values: Sequence[float]) -> str:
    """A line through two values or more, from the smallest to the largest."""
    least, most = min(values), max(values)
    step, share = 100 * _WIDE / (len(values) - 1), (100 - 2 * _HALF) / ((most - least) or 1)
    points = [complex(n * step, _HALF + (most - value) * share) for n, value in enumerate(values)]
    parts = [(start, end, _HALF * 1j * (end - start) / abs(end - start)) for start, end in pairwise(points)]
    sides = [point - half for start, end, half in parts for point in (start, end)]
    sides += [point + half for start, end, half in reversed(parts) for point in (end, start)]
    return _polygon((side.real / _WIDE, side.imag) for side in sides)


def _polygon(around: Iterable[Point]) -> str:
    return f"polygon({','.join(f'{round(x, 1):g}% {round(y, 1):g}%' for x, y in around)})"
