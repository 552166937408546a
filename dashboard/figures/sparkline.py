"""The small line of a card, as a shape that CSS cuts out: a chart library would cost a page its quickness."""

from collections.abc import Iterable, Sequence

_GAP = 0.2  # between two bars, of the room of one
_THICK = 7  # of a line, in percent of its height
Point = tuple[float, float]  # percent from the left and from above


def bars(values: Sequence[float]) -> str:
    """A bar for each value, from 0 up to the largest."""
    most, room = max(values) or 1, 100 / len(values)
    places = [(n * room, (n + 1 - _GAP) * room, 100 - 100 * value / most) for n, value in enumerate(values)]
    return _polygon([point for x, end, y in places for point in ((x, 100.0), (x, y), (end, y), (end, 100.0))])


def line(values: Sequence[float]) -> str:
    """A line through the values, from the smallest to the largest."""
    least, most = min(values), max(values)
    step, span = 100 / max(len(values) - 1, 1), (most - least) or 1
    above = [(n * step, (100 - _THICK) * (most - value) / span) for n, value in enumerate(values)]
    return _polygon([*above, *((x, y + _THICK) for x, y in reversed(above))])


def _polygon(around: Iterable[Point]) -> str:
    return f"polygon({','.join(f'{round(x, 1):g}% {round(y, 1):g}%' for x, y in around)})"
