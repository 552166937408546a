"""The reference load is what its description says, and the same every time."""

import hashlib
from collections import Counter
from itertools import islice

import msgspec
import pytest

from collector.core.calls import Call
from collector.core.outcomes import Outcome
from collector.demo.reference import Load, reference_calls

START = 1_790_000_000_000_000 // 86_400_000_000 * 86_400_000_000
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    return list(reference_calls(Load(30_000, START)))


def digest(load: Load) -> str:
    return hashlib.sha256(msgspec.json.encode(list(reference_calls(load)))).hexdigest()


def test_it_is_the_same_for_the_same_arguments_and_another_for_another_seed() -> None:
    assert digest(Load(2_000, START)) == digest(Load(2_000, START))
    assert digest(Load(2_000, START)) != digest(Load(2_000, START, seed=2))


def test_it_is_as_long_as_asked_and_begins_without_making_the_rest() -> None:
    assert len(list(islice(reference_calls(Load(10_000_000, START)), 3))) == 3
    assert len(list(reference_calls(Load(1_001, START, days=3)))) == 1_001


def test_calls_come_in_order_of_time_within_the_days_each_with_its_own_id(calls: list[Call]) -> None:
    times = [call.started_at for call in calls]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < START + 90 * DAY_US
    assert len({call.id for call in calls}) == 30_000
    assert {(at - START) // DAY_US for at in times} == set(range(90))


def test_it_has_the_models_providers_apps_keys_and_users_it_says(calls: list[Call]) -> None:
    assert len({call.model for call in calls}) == 20
    assert len({call.provider for call in calls if call.provider}) == 10
    assert len({call.app for call in calls}) == 50
    assert len({call.key for call in calls}) == 20
    assert 1_700 < len({call.user for call in calls}) <= 2_000


def test_every_app_has_one_key_and_three_models_and_every_model_two_providers(calls: list[Call]) -> None:
    keys, models, providers = Counter(), Counter(), Counter()  # type: ignore[var-annotated]
    for app, key in {(call.app, call.key) for call in calls}:
        keys[app, key] += 1
    models.update(app for app, _ in {(call.app, call.model) for call in calls})
    providers.update(model for model, _ in {(call.model, call.provider) for call in calls if call.provider})
    assert set(Counter(app for app, _ in keys).values()) == {1}
    assert set(models.values()) == {3}
    assert set(providers.values()) == {2}


def test_a_fifth_of_the_apps_and_users_make_most_of_the_calls(calls: list[Call]) -> None:
    apps = sorted(Counter(call.app for call in calls).values(), reverse=True)
    users = sorted(Counter(call.user for call in calls).values(), reverse=True)
    assert 0.7 < sum(apps[:10]) / 30_000 < 0.9
    assert 0.7 < sum(users[:400]) / 30_000 < 0.95


def test_ninety_seven_of_a_hundred_end_well(calls: list[Call]) -> None:
    outcomes = Counter(call.outcome for call in calls)
    assert 0.965 < outcomes[Outcome.OK] / 30_000 < 0.975
    assert set(outcomes) == set(Outcome) - {Outcome.UNKNOWN}


def test_four_fifths_are_first_asked_of_the_preferred_provider(calls: list[Call]) -> None:
    load = Load(1, START)
    preferred = {route.model: route.homes[0].provider for route in load.routes}
    asked = [call for call in calls if call.attempts]
    first = sum(call.attempts[0].provider == preferred[call.model or ""] for call in asked)
    assert 0.79 < first / len(asked) < 0.81


def test_an_answer_has_its_usage_its_times_and_an_id_of_its_own(calls: list[Call]) -> None:
    answered = [call for call in calls if call.outcome is Outcome.OK]
    assert len({(call.provider, call.origin_id) for call in answered}) == len(answered)
    assert all(call.meters["input"] > 0 and call.meters["output"] > 0 for call in answered)
    assert all((call.first_token_ms is None) is not call.streamed for call in answered)
    assert all(call.latency_ms is not None and call.latency_ms >= (call.first_token_ms or 0) for call in answered)
    assert all(call.attempts[-1].provider == call.provider for call in answered)
