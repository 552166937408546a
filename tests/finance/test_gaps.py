"""The gap between what was metered and what is told, split: every part has its case, and the parts are the gap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.finance.gaps import PARTS, Metered, Told, across_days, split, together, with_invoice

SEEN = Metered(
    calls=10, cost=1_000, quantities={"input": 100, "images_in": 2}, charges={"input": 900, "images_in": 100},
)  # fmt: skip
CASES = {
    "nothing is told": (SEEN, Told(requests=10), {}),
    "the same": (SEEN, Told(requests=10, cost=1_000), {}),
    "dearer by the same count": (SEEN, Told(requests=10, cost=1_100), {"price difference": 100}),
    "more requests": (SEEN, Told(requests=12, cost=1_200), {"not captured": 200}),
    "more tokens, and dearer": (
        SEEN,
        Told(quantities={"input": 110}, cost=1_100),
        {"not captured": 90, "price difference": 10},
    ),
    "usage that nobody metered": (Metered(), Told(requests=3, cost=30), {"not captured": 30}),
    "a line without usage": (Metered(), Told(cost=30), {"provider fee": 30}),
    "free": (SEEN, Told(requests=10, cost=0), {"free": -1_000}),
    "images charged on top": (
        Metered(calls=1, cost=1_000, images_on_top=100),
        Told(requests=1, cost=880),
        {"price difference": -20, "image rule": -100},
    ),
    "images explain no more than the gap": (
        Metered(calls=1, cost=1_000, images_on_top=100),
        Told(requests=1, cost=960),
        {"image rule": -40},
    ),
    "an own key behind a router": (
        Metered(calls=10, cost=1_000, reported_calls=10, reported_cost=1_000),
        Told(requests=10, cost=50),
        {"own key": -950},
    ),
    "own keys, where the calls say so": (
        Metered(
            calls=10,
            cost=1_000,
            reported_calls=10,
            reported_cost=1_000,
            own_key_calls=4,
            own_key_metered=300,
            own_key_paid=280,
            own_key_fees=15,
        ),
        Told(requests=10, cost=725),
        {"price difference": 10, "own key": -300, "provider fee": 15},
    ),
    "all by own keys, for no fee": (
        Metered(calls=10, cost=1_000, own_key_calls=10, own_key_metered=1_000, own_key_paid=990),
        Told(requests=10, cost=0),
        {"own key": -1_000},
    ),
    "some of it under a flat plan": (
        Metered(calls=10, cost=1_000, notional=400),
        Told(requests=10, cost=590),
        {"price difference": -10, "free": -400},
    ),
    "no count to compare": (SEEN, Told(cost=900), {"unexplained": -100}),
    "every answer said its cost": (
        Metered(calls=2, cost=10, reported_calls=2, reported_cost=12),
        Told(cost=12),
        {"price difference": 2},
    ),
}


@pytest.mark.parametrize(("metered", "told", "parts"), CASES.values(), ids=CASES)
def test_each_part_of_a_gap(metered, told, parts):
    assert split(metered, told, routed=True) == parts


def test_only_a_router_has_own_keys():
    metered = Metered(calls=10, cost=1_000, reported_calls=10, reported_cost=1_000)
    assert split(metered, Told(requests=10, cost=50)) == {"price difference": -950}


def test_what_moved_to_the_day_beside_it_is_not_missing():
    days = [(1, {"not captured": 300}), (2, {"not captured": -200, "price difference": 5}), (4, {"not captured": -7})]
    assert across_days(days) == [
        (1, {"not captured": 100, "day boundary": 200}),
        (2, {"price difference": 5, "day boundary": -200}),
        (4, {"unexplained": -7}),
    ]


def test_an_invoice_adds_its_fees_and_what_nobody_explains():
    assert with_invoice({"price difference": 5}, 1_005, invoiced=1_100, fees=60) == {
        "price difference": 5, "provider fee": 60, "unexplained": 35,
    }  # fmt: skip


amounts = st.integers(0, 10**15)
counts = st.dictionaries(st.sampled_from(["input", "output", "images_in"]), st.integers(0, 10**9), max_size=3)
metered_sides = st.builds(
    Metered, calls=st.integers(0, 50), cost=amounts, quantities=counts, charges=counts, images_on_top=amounts,
    reported_calls=st.integers(0, 50), reported_cost=amounts, own_key_calls=st.integers(0, 9),
    own_key_metered=amounts, own_key_paid=amounts, own_key_fees=st.integers(-(10**9), 10**15), notional=amounts,
)  # fmt: skip
told_sides = st.builds(
    Told, requests=st.none() | st.integers(0, 50), quantities=counts, cost=st.none() | st.integers(-(10**9), 10**15)
)


@given(st.lists(st.tuples(metered_sides, told_sides), min_size=1, max_size=6), st.booleans())
def test_the_parts_are_the_gap_to_the_last_picodollar(sides, routed):
    days = [(day, split(metered, told, routed=routed)) for day, (metered, told) in enumerate(sides)]
    moved = across_days(days)
    for (metered, told), (_, before), (_, after) in zip(sides, days, moved, strict=True):
        gap = 0 if told.cost is None else told.cost - metered.cost
        assert sum(before.values()) == sum(after.values()) == gap
        assert set(after) <= set(PARTS)
        assert 0 not in after.values()
    assert sum(together(gap for _, gap in moved).values()) == sum(sum(gap.values()) for _, gap in moved)
