"""How attempts failed, and whom an outage hit."""

import pytest

from collector.core.errors import UsageError
from collector.core.periods import parse_period
from collector.core.selection import Selection
from collector.ledger.questions import failures
from collector.ledger.questions.ask import rows
from collector.settings import Limits
from tests.stored import NOW_US, store
from tests.tables import calls, instant

TABLE = """
    12:00 openai m  10/1 ok
    12:01 openai m  -    provider_fault http_status=503 error_type=overloaded
    12:02 openai m  -    provider_fault http_status=503 error_type=overloaded
    12:03 dear   m  10/1 ok             attempts=openai:provider_fault,dear:ok
    12:04 dear   m  -    provider_fault attempts=openai:provider_fault,dear:provider_fault
    12:05 openai x  -    rate_limited   http_status=429
    12:06 dear   m  10/1 ok             attempts=openai:rate_limited,dear:ok
    12:07 -      -  -    refused
    13:00 openai m  -    provider_fault
"""
DAY = parse_period("2026-10-01", "UTC", NOW_US)


@pytest.fixture
def engine(tmp_path):
    return store(tmp_path, calls(TABLE))


def test_attempts_are_counted_by_provider_status_and_type_once_each(engine):
    found = rows(engine, failures.error_types(Selection(), DAY, Limits()))
    assert [(r.provider, r.http_status, r.error_type, r.outcome, r.attempts) for r in found] == [
        ("openai", None, None, "provider_fault", 3),
        ("openai", 503, "overloaded", "provider_fault", 2),
        ("openai", None, None, "rate_limited", 1),
        ("openai", 429, None, "rate_limited", 1),
        ("dear", None, None, "provider_fault", 1),
    ]
    assert found[0].last_at == instant("13:00")


def test_they_can_be_filtered_and_are_bounded(engine):
    only = rows(engine, failures.error_types(Selection(models=("x",)), DAY, Limits()))
    assert [(r.provider, r.attempts) for r in only] == [("openai", 1)]
    with pytest.raises(UsageError, match="7 days at most"):
        failures.error_types(Selection(), parse_period("30d", "UTC", NOW_US), Limits())


def test_an_outage_hits_calls_once_and_some_are_rescued(engine):
    (found,) = rows(engine, failures.hit_by("openai", instant("12:00"), instant("13:00")))
    assert (found.hit, found.rescued) == (4, 1)
    (dear,) = rows(engine, failures.hit_by("dear", instant("12:00"), instant("13:00")))
    assert (dear.hit, dear.rescued) == (1, 0)
    (nobody,) = rows(engine, failures.hit_by("nobody", instant("12:00"), instant("13:00")))
    assert (nobody.hit, nobody.rescued) == (0, 0)
