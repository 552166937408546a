"""What is remembered of an endpoint's health is what its attempts say, whenever it is asked for."""

from hypothesis import given
from hypothesis import strategies as st

from collector.core.outcomes import Outcome
from collector.core.periods import SECOND_US
from collector.intake.gateway.health import Health
from collector.intake.gateway.shared.fared import MAX_ENDPOINTS, Ended, Fared

ATTEMPTS = st.lists(
    st.tuples(
        st.sampled_from([Outcome.OK, Outcome.OK, Outcome.OK, Outcome.PROVIDER_FAULT, Outcome.RATE_LIMITED]),
        st.integers(0, 40),  # seconds after the one before
        st.booleans(),  # asked for with times before the next
        st.sampled_from([0, 0, 60]),  # seconds that it asked to wait
    ),
    max_size=40,
)


def health_of(fared: Fared, now_us: int, with_times: bool) -> Health | None:
    return fared.of(["e"], now_us, with_times).get("e")


@given(ATTEMPTS)
def test_asked_after_every_attempt_or_only_at_the_end_the_health_is_the_same(
    attempts: list[tuple[Outcome, int, bool, int]],
) -> None:
    asked, now_us = Fared(), 1_000_000 * SECOND_US
    added: list[Ended] = []
    for outcome, after_s, with_times, wait_s in attempts:
        now_us += after_s * SECOND_US
        wait_until_us = now_us + wait_s * SECOND_US if wait_s and outcome is Outcome.RATE_LIMITED else 0
        ended = Ended("e", outcome, now_us, 100, wait_until_us=wait_until_us)
        asked.add(ended)
        added.append(ended)
        fresh = Fared()
        for each in added:
            fresh.add(each)
        seen, expected = health_of(asked, now_us, with_times), health_of(fresh, now_us, with_times)
        assert seen is not None
        assert expected is not None
        assert (seen.state, seen.wait_until_us) == (expected.state, expected.wait_until_us)
        if with_times:
            assert seen == expected


def test_waits_that_are_over_are_forgotten_and_so_are_more_than_there_can_be_endpoints() -> None:
    """A provider that takes any model may ask to wait under every name that anybody makes up."""
    fared, now_us = Fared(), 1_000_000 * SECOND_US
    for n in range(2 * MAX_ENDPOINTS):
        fared.add(Ended(f"p m{n}", Outcome.RATE_LIMITED, now_us, wait_until_us=now_us + (1 + n % 2) * SECOND_US))
    assert len(fared.waits(now_us)) == MAX_ENDPOINTS
    assert len(fared.waits(now_us + SECOND_US)) == MAX_ENDPOINTS // 2
    assert fared.waits(now_us + 2 * SECOND_US) == {}
