import re

import pytest

from dashboard.figures import sparkline


def test_bars_stand_for_their_share_of_the_largest() -> None:
    assert sparkline.bars([5, 10]) == "polygon(0% 100%,0% 50%,40% 50%,40% 100%,50% 100%,50% 0%,90% 0%,90% 100%)"
    assert sparkline.bars([0, 0]).startswith("polygon(0% 100%,0% 100%,40% 100%,")


def corners(drawn: str) -> list[complex]:
    """The corners of a polygon, in percent of the height of a card's line that is four times as wide."""
    found = re.findall(r"(-?[\d.]+)% (-?[\d.]+)%", drawn)
    return [complex(4 * float(x), float(y)) for x, y in found]


def parts(values: list[float]) -> list[tuple[complex, complex, complex, complex]]:
    """The four corners of each part of a line: its beginning and end on one side, then the same on the other."""
    its = corners(sparkline.line(values))
    there, back = its[: len(its) // 2], its[: len(its) // 2 - 1 : -1]
    return list(zip(there[::2], there[1::2], back[::2], back[1::2], strict=True))


def test_a_line_goes_from_its_smallest_to_its_largest_value() -> None:
    first, last = parts([1.0, 3.0, 2.0])
    middle = [(first[0] + first[2]) / 2, (first[1] + first[3]) / 2, (last[0] + last[2]) / 2, (last[1] + last[3]) / 2]
    assert middle == pytest.approx([97j, 200 + 3j, 200 + 3j, 400 + 50j], abs=0.3)


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.0, 1.0], [1.0, 0.0, 1.0], [0.0] * 30 + [1.0, 1.0]])
def test_a_line_is_equally_thick_however_steep(values: list[float]) -> None:
    for start, end, start_below, end_below in parts(values):
        along = (end - start) / abs(end - start)
        for thick in (start_below - start, end_below - end):
            assert thick * along.conjugate() == pytest.approx(6j, abs=0.3)
