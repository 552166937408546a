from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collector.core.outages import LONGEST_GAP, Outage, outages
from collector.core.uptime import Uptime

BAD, GOOD, NONE = Uptime(1, 9), Uptime(10, 0), Uptime(0, 0)


def test_a_run_of_bad_buckets_is_one_outage_from_its_first_to_its_last() -> None:
    found = outages([(0, GOOD), (300, BAD), (600, BAD), (900, GOOD), (1_200, BAD)], 300)
    assert found == [Outage(300, 900, 2, 18), Outage(1_200, 1_500, 1, 9)]
    assert found[0].seconds == 600


def test_buckets_without_attempts_do_not_end_it_until_they_are_too_many() -> None:
    held = outages([(0, BAD), (300, NONE), ((LONGEST_GAP + 1) * 300, BAD)], 300)
    assert held == [Outage(0, (LONGEST_GAP + 2) * 300, 2, 18)]
    assert len(outages([(0, BAD), ((LONGEST_GAP + 2) * 300, BAD)], 300)) == 2


def test_few_attempts_make_none_alone_and_one_together() -> None:
    assert outages([(0, Uptime(0, 9))], 300) == []
    assert outages([(0, Uptime(0, 5)), (300, Uptime(0, 5))], 300) == [Outage(0, 600, 0, 10)]


def test_eighty_percent_is_not_out() -> None:
    assert outages([(0, Uptime(8, 2))], 300) == []
    assert outages([(0, Uptime(79, 21))], 300) == [Outage(0, 300, 79, 21)]


uptimes = st.builds(Uptime, st.integers(0, 30), st.integers(0, 30))


@given(st.dictionaries(st.integers(0, 200), uptimes), st.randoms())
def test_outages_are_apart_in_order_and_the_same_in_any_order_of_buckets(buckets, random) -> None:
    listed = [(n * 300, uptime) for n, uptime in buckets.items()]
    found = outages(listed, 300)
    random.shuffle(listed)
    assert outages(listed, 300) == found
    assert all(a.end_s <= b.start_s for a, b in pairwise(found))
    for out in found:
        inside = [uptime for at, uptime in listed if out.start_s <= at < out.end_s]
        assert (out.ok, out.fault) == (sum(u.ok for u in inside), sum(u.fault for u in inside))
        assert out.ok * 100 < 80 * (out.ok + out.fault)
        assert out.ok + out.fault >= 10
