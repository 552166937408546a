import pytest

from collector.core.uptime import MIN_IN_HEADLINE, Status, Uptime


@pytest.mark.parametrize(
    ("ok", "fault", "text", "status"),
    [
        (0, 0, "no data", Status.NO_DATA),
        (7, 2, "7 of 9", Status.FEW),
        (0, 9, "0 of 9", Status.FEW),
        (10, 0, "100%", Status.NORMAL),
        (9_999_999, 1, "99.99%", Status.NORMAL),
        (95, 5, "95%", Status.NORMAL),
        (949, 51, "94.9%", Status.DEGRADED),
        (80, 20, "80%", Status.DEGRADED),
        (79, 21, "79%", Status.DOWN),
        (0, 10, "0%", Status.DOWN),
    ],
)
def test_uptime_says_how_much_it_knows(ok, fault, text, status):
    assert (Uptime(ok, fault).text(), Uptime(ok, fault).status()) == (text, status)


def test_a_headline_needs_a_hundred_attempts():
    assert Uptime(90, 9).text(MIN_IN_HEADLINE) == "90 of 99"
    assert Uptime(91, 9).text(MIN_IN_HEADLINE) == "91%"


def test_no_attempts_have_no_share():
    assert Uptime(0, 0).share is None
