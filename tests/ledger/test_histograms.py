"""Histograms: quantiles within 2.5%, exact addition and subtraction, one form as bytes."""

from hypothesis import given
from hypothesis import strategies as st

from collector.core import histograms

numbers = st.lists(st.integers(0, 10**9), max_size=60)


def test_quantiles_of_small_numbers_are_exact() -> None:
    histogram = histograms.of(range(1, 12))
    assert [histograms.quantile(histogram, share) for share in (0, 0.5, 1)] == [1, 6, 11]


def test_nothing_counted_has_no_quantile_and_no_bytes() -> None:
    assert histograms.quantile({}, 0.5) is None
    assert histograms.to_bytes({}) is None
    assert histograms.from_bytes(None) == {}


@given(st.integers(0, 10**12))
def test_a_number_is_found_again_within_two_and_a_half_percent(number: int) -> None:
    found = histograms.quantile(histograms.of([number]), 0.5)
    assert found is not None
    assert abs(found - number) <= number * 0.025


@given(numbers.filter(bool), st.sampled_from([0.0, 0.5, 0.75, 0.9, 0.99, 1.0]))
def test_a_quantile_is_near_the_number_of_that_rank(some: list[int], share: float) -> None:
    found = histograms.quantile(histograms.of(some), share)
    exact = sorted(some)[int(share * (len(some) - 1))]
    assert found is not None
    assert abs(found - exact) <= exact * 0.025


@given(numbers, numbers)
def test_adding_is_counting_together_and_subtracting_undoes_it(one: list[int], other: list[int]) -> None:
    both = histograms.merged(histograms.of(one), histograms.of(other))
    assert both == histograms.of(one + other)
    assert histograms.subtracted(both, histograms.of(other)) == histograms.of(one)


@given(numbers, st.randoms())
def test_equal_histograms_are_equal_bytes(some: list[int], random: object) -> None:
    shuffled = list(some)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    data = histograms.to_bytes(histograms.of(some))
    assert data == histograms.to_bytes(histograms.of(shuffled))
    assert histograms.from_bytes(data) == histograms.of(some)


def test_throughput_is_tokens_over_the_whole_time() -> None:
    assert histograms.throughput(200, 800) == 250 * histograms.THROUGHPUT_SCALE
    assert histograms.throughput(200, 0) is None
    assert histograms.throughput(0, 800) is None


def test_a_second_of_hundred_different_latencies_takes_few_bytes() -> None:
    data = histograms.to_bytes(histograms.of(range(200, 2000, 18)))
    assert data is not None
    assert len(data) < 200


def test_a_number_that_was_taken_out_again_leaves_no_trace() -> None:
    histogram = histograms.of([7])
    histograms.count_one(histogram, 9)
    histograms.count_one(histogram, 9, -1)
    assert histograms.to_bytes(histogram) == histograms.to_bytes({histograms.bucket(7): 1})
