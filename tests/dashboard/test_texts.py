"""Numbers and names as a screen shows them."""

from decimal import Decimal

import pytest

from collector.core.money import parse_usd
from dashboard import texts


@pytest.mark.parametrize(
    ("amount", "exact", "short"),
    [
        ("0", "$0.00", "$0.00"),
        ("0.0539", "$0.0539", "$0.0539"),
        ("0.000000000001", "$0.000000000001", "$0.000000000001"),
        ("0.012345678901", "$0.012345678901", "$0.0123"),
        ("0.9996", "$0.9996", "$1.00"),
        ("1234.567890123456", "$1,234.567890123456", "$1,234.57"),
        ("-2.5", "-$2.50", "-$2.50"),
    ],
)
def test_an_amount_is_exact_where_it_counts_and_short_where_it_is_read(amount: str, exact: str, short: str) -> None:
    assert texts.usd(parse_usd(amount)) == exact
    assert texts.short_usd(parse_usd(amount)) == short


def test_an_amount_beyond_what_a_float_holds_keeps_its_last_digit() -> None:
    assert texts.usd(9_007_199_254_740_993) == "$9,007.199254740993"
    assert texts.amount(Decimal("12345678901.000000000001")) == "$12,345,678,901.000000000001"


def test_what_has_no_price_is_not_zero() -> None:
    assert texts.amount(None) == "no price"
    assert texts.amount(Decimal("NaN")) == "no price"
    assert texts.amount(Decimal(0)) == "$0.00"


@pytest.mark.parametrize(
    ("number", "short"),
    [(0, "0"), (9_999, "9,999"), (10_000, "10.0k"), (999_999, "999k"), (1_234_567, "1.23M"), (-12_345, "-12.3k")],
)
def test_a_short_count_is_cut_and_never_rounded_up(number: int, short: str) -> None:
    assert texts.short_count(number) == short


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [(9_999, 10_000, "99.99%"), (99_999, 100_000, "99.99%"), (5, 5, "100%"), (1, 10**7, "<0.01%"), (0, 0, "no data")],
)
def test_a_share_says_100_percent_only_of_all(part: int, whole: int, share: str) -> None:
    assert texts.percent(part, whole) == share


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [(112, 100, "+12%"), (1_004, 1_000, "+0.4%"), (996, 1_000, "-0.4%"), (5, 5, "0%"), (5, 0, None), (0, 5, "-100%")],
)
def test_a_change_is_against_something(now: int, before: int, text: str | None) -> None:
    assert texts.change(now, before) == text


def test_a_name_from_outside_is_literal_in_a_figure() -> None:
    assert texts.for_plotly('<a href="x">&#000001') == '&lt;a href="x"&gt;&amp;&#35;000001'
    assert texts.for_plotly("x" * 100, 10) == "x" * 9 + "…"


@pytest.mark.parametrize("name", ["plain", "a`b``c", "`", "**b** :material/home: $x$", "line\nbreak"])
def test_a_name_from_outside_is_inline_code_in_markdown(name: str) -> None:
    text = texts.for_markdown(name)
    fence = text[: len(text) - len(text.lstrip("`"))]
    inside = text[len(fence) : -len(fence)]
    assert text.endswith(fence)
    assert fence not in inside
    assert inside.strip() == name.replace("\n", " ")


def test_an_instant_names_its_offset_so_that_a_repeated_hour_is_two() -> None:
    summer, winter = 1_792_886_400_000_000, 1_792_890_000_000_000  # 2026-10-25 00:00 and 01:00 UTC
    assert texts.instant_text(summer, "Europe/Berlin") == "Sun 25 Oct 2026, 02:00 +02:00"
    assert texts.instant_text(winter, "Europe/Berlin") == "Sun 25 Oct 2026, 02:00 +01:00"
