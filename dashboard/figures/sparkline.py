"""The small line of a card, as plain HTML of our own numbers: a chart library would cost a page its quickness."""

from collections.abc import Sequence

_BOX = "height:34px;opacity:0.55"
_THICK = 7  # of a line, in percent of its height


def bars(values: Sequence[float]) -> str:
    """A bar for each value, from 0 up to the largest."""
    most = max(values)
    heights = [100 * value / most if most else 0 for value in values]
    inside = "".join(f'<i style="flex:1;height:{height:.1f}%;background:currentColor"></i>' for height in heights)
    return f'<div aria-hidden="true" style="display:flex;align-items:flex-end;gap:1px;{_BOX}">{inside}</div>'


def line(values: Sequence[float]) -> str:
    """A line through the values, from the smallest to the largest."""
    least, most = min(values), max(values)
    step, span = 100 / max(len(values) - 1, 1), (most - least) or 1
    above = [(n * step, (100 - _THICK) * (most - value) / span) for n, value in enumerate(values)]
    around = [*above, *((x, y + _THICK) for x, y in reversed(above))]
    shape = ",".join(f"{x:.1f}% {y:.1f}%" for x, y in around)
    return f'<div aria-hidden="true" style="background:currentColor;clip-path:polygon({shape});{_BOX}"></div>'
