import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.calls import clip
from collector.core.errors import UsageError
from collector.core.selection import DIMENSIONS, Selection, from_query, period_of, to_query

names = st.lists(st.text(max_size=40).filter(lambda text: not text or clip(text) == text), max_size=4).map(tuple)
selections = st.builds(
    Selection,
    period=st.sampled_from(["24h", "30d", "month", "2026-10", "2026-10-01..2026-11-01"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu"]),
    models=names,
    providers=names,
    apps=names,
    keys=names,
    users=names,
    group=st.sampled_from(["", *DIMENSIONS]),
)


@given(selections)
def test_a_selection_survives_the_url(selection):
    assert from_query(to_query(selection), default_zone="Pacific/Apia") == selection


def test_an_empty_query_is_the_last_thirty_days_in_the_reporting_zone():
    assert from_query([], default_zone="Europe/Berlin") == Selection(period="30d", zone="Europe/Berlin")


def test_other_names_in_a_query_belong_to_the_page():
    assert from_query([("tab", "2"), ("model", "m")]) == Selection(models=("m",))


@pytest.mark.parametrize(
    ("pairs", "named"),
    [
        ([("period", "soon")], "soon"),
        ([("period", "7d"), ("period", "8d")], "8d"),
        ([("zone", "Mars/Base")], "Mars/Base"),
        ([("group", "colour")], "colour"),
        ([("model", "a\nb")], "model"),
        ([("user", "u" * 300)], "user"),
        ([("user", str(n)) for n in range(201)], "201"),
    ],
)
def test_a_bad_value_is_named(pairs, named):
    with pytest.raises(UsageError, match=named):
        from_query(pairs)


def test_a_period_longer_than_the_limit_is_refused():
    with pytest.raises(UsageError, match="longer than 1100 days"):
        period_of(Selection(period="2000d"), 0, 1100)
    assert period_of(Selection(period="1100d"), 10**18 // 500, 1100)
