from dashboard.figures import sparkline


def test_bars_stand_for_their_share_of_the_largest() -> None:
    assert sparkline.bars([5, 10]) == "polygon(0% 100%,0% 50%,40% 50%,40% 100%,50% 100%,50% 0%,90% 0%,90% 100%)"
    assert sparkline.bars([0, 0]).startswith("polygon(0% 100%,0% 100%,40% 100%,")


def test_a_line_goes_from_its_smallest_to_its_largest_value() -> None:
    drawn = sparkline.line([1.0, 3.0, 2.0])
    assert drawn == "polygon(0% 93%,50% 0%,100% 46.5%,100% 53.5%,50% 7%,0% 100%)"
    assert "polygon" in sparkline.line([7.0])
