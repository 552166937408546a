from dashboard.figures.cards import Card, html

SPEND = Card("Spend", "$1.23", "Exactly $1.234", [1, 2, 3, 4, 5], "-4.2%")


def test_a_card_has_its_name_its_number_its_exact_form_and_how_it_moved() -> None:
    shown = html([SPEND], "prior 7d")
    assert "<dt><span>Spend</span>" in shown
    assert '<dd class="value">$1.23</dd>' in shown
    assert '<dd class="change"><span class="down">-4.2%</span><small>prior 7d</small></dd>' in shown


def test_the_exact_form_describes_the_button_that_shows_it() -> None:
    shown = html([SPEND, SPEND._replace(exact="Exactly $9.876")], "")
    assert 'aria-label="Help for Spend" aria-describedby="card-1"></button>' in shown
    assert '<span role="tooltip" id="card-1">Exactly $9.876</span>' in shown


def test_words_that_are_no_change_have_no_arrow_and_are_against_nothing() -> None:
    shown = html([SPEND._replace(change="3 calls", is_change=False)], "prior 7d")
    assert '<dd class="change"><span>3 calls</span></dd>' in shown
    assert "prior 7d" not in shown


def test_a_line_is_passed_over_by_screen_readers_and_absent_where_there_is_nothing_to_draw() -> None:
    assert '<dd aria-hidden="true" class="line" style="clip-path:polygon(' in html([SPEND], "")
    assert "polygon" not in html(
        [SPEND._replace(line=[1, 2]), SPEND._replace(line=[0] * 9), SPEND._replace(line=None)], ""
    )


def test_what_looks_like_html_is_text() -> None:
    shown = html([Card("<b>", "<i>", "<u>", change="<s>")], "<q>")
    assert not any(f"<{tag}>" in shown for tag in "biusq")
