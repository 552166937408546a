from dashboard.figures import sparkline


def test_bars_stand_for_their_share_of_the_largest() -> None:
    assert "polygon(0.0% 100.0%,0.0% 50.0%,40.0% 50.0%,40.0% 100.0%,50.0% 100.0%,50.0% 0.0%," in sparkline.bars([5, 10])
    assert "polygon(0.0% 100.0%,0.0% 100.0%,40.0% 100.0%," in sparkline.bars([0, 0])


def test_a_line_goes_from_its_smallest_to_its_largest_value() -> None:
    drawn = sparkline.line([1.0, 3.0, 2.0])
    assert "polygon(0.0% 93.0%,50.0% 0.0%,100.0% 46.5%,100.0% 53.5%,50.0% 7.0%,0.0% 100.0%)" in drawn
    assert "polygon" in sparkline.line([7.0])


def test_screen_readers_pass_them_over() -> None:
    assert 'aria-hidden="true"' in sparkline.bars([1])
    assert 'aria-hidden="true"' in sparkline.line([1, 2])
