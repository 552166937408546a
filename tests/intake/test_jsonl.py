import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from sqlalchemy import select

from collector.core.periods import parse_period
from collector.finance.export import Request, export
from collector.intake.files import reader_of
from collector.intake.files.lines import Lines
from collector.intake.files.reading import Options, Rejected
from collector.ledger.schema import attempts, calls, usage_days
from tests import random_calls
from tests.stored import NOW_US, SETS, ZONES, store
from tests.tables import instant


def read(path):
    return list(reader_of("jsonl", Options())(Lines(path), Options()))


def read_lines(tmp_path, *documents):
    path = tmp_path / "calls.jsonl"
    path.write_text("".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in documents))
    return read(path)


def exported(engine, path):
    period = parse_period(f"{random_calls.FIRST_DAY}..{random_calls.END_DAY}", "UTC", NOW_US)
    export(engine, ZONES, Request(period, calls=True, format="jsonl"), path)
    return path.read_bytes()


def rows_of(engine, table):
    with engine.connect() as connection:
        return connection.execute(select(table)).all()


@settings(max_examples=25, deadline=None)
@given(random_calls.many)
def test_export_import_export_is_identical_in_a_fresh_ledger_and_in_the_same(some):
    with TemporaryDirectory() as name:
        folder = Path(name)
        engine = store(folder / "first", some)
        first = exported(engine, folder / "first.jsonl")
        brought_back = read(folder / "first.jsonl")
        assert not [each for each in brought_back if isinstance(each, Rejected)]
        assert len(brought_back) == len(some)

        fresh = store(folder / "second", brought_back)
        assert exported(fresh, folder / "second.jsonl") == first

        before = [rows_of(engine, table) for table in (calls, attempts, usage_days)]
        store(folder / "first", brought_back).dispose()
        assert [rows_of(engine, table) for table in (calls, attempts, usage_days)] == before
        assert exported(engine, folder / "again.jsonl") == first
        engine.dispose()
        fresh.dispose()


def priced(**fields):
    """A line with a price set of which something cannot be."""
    return {"price_id": "abc", "price_set": {"model": "m", "prices": {}, "source": "test"} | fields}


def test_a_line_needs_nothing_but_a_time(tmp_path):
    (call,) = read_lines(tmp_path, {"started_at": "2026-10-01T12:00:00Z"})
    assert (call.started_at, call.source, call.outcome) == (instant("2026-10-01T12:00"), "jsonl", "unknown")


def test_what_is_stated_is_kept(tmp_path):
    price = SETS[0]
    stated = {
        "started_at": 1790856000,
        "id": "0" * 32,
        "source": "gateway",
        "cost_picousd": 12,
        "original_cost_picousd": -3,
        "price_id": price.id,
        "attempt_list": [{"provider": "p", "started_at": "2026-10-01T12:00Z", "outcome": "ok"}],
    }
    (call,) = read_lines(tmp_path, {"price_id": price.id, "price_set": price.to_plain()}, stated)
    assert (call.id, call.source, call.cost, call.original_cost) == ("0" * 32, "gateway", 12, -3)
    assert call.price == price.to_plain()
    assert [each.provider for each in call.attempts] == ["p"]


def test_a_line_without_a_cost_is_left_to_be_priced(tmp_path):
    (call,) = read_lines(tmp_path, {"started_at": 1790856000, "input_tokens": 5, "unpriced_reason": "no price"})
    assert (call.cost, call.price, call.unpriced_reason, call.meters) == (None, None, None, {"input": 5})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "truncated"),
        ("[]", "Expected `object`"),
        ('"text"', "Expected `object`"),
        ("{}", "started_at"),
        ({"started_at": "soon"}, "not a time"),
        ({"started_at": 1790856000, "tokens": 3}, "unknown field `tokens`"),
        ({"started_at": 1790856000, "input_tokens": -5}, ">= 0"),
        ({"started_at": 1790856000, "input_tokens": 1.5}, "Expected `int"),
        ('{"started_at": 1790856000, "input_tokens": 1e400}', "input_tokens|range"),
        ({"started_at": 1790856000, "input_tokens": "5"}, "Expected `int"),
        ({"started_at": 1790856000, "input_tokens": 10**30}, "input_tokens"),
        ({"started_at": 1790856000, "outcome": "fine"}, "outcome"),
        ({"started_at": 1790856000, "id": "xyz"}, "id"),
        ({"started_at": 1790856000, "usage_quality": "good"}, "good"),
        ({"started_at": 1790856000, "meters": {"input": 5}}, "meters.input"),
        ({"started_at": 1790856000, "cost_picousd": 5, "price_id": "abc"}, "'abc' is not among the price sets"),
        ({"started_at": 1790856000, "cost_picousd": 5, "cost_usd": "1"}, "cost_usd 1 is not cost_picousd"),
        ({"price_id": "abc", "price_set": SETS[0].to_plain()}, "'abc' is not that of its price set"),
        ({"price_id": "abc", "price_set": {"model": 5}}, "model"),
        (priced(prices={"input": -5}), ">= 0"),
        (priced(prices={"input": 10**18}), "<= 100000000000000000"),
        (priced(source="one\ntwo"), r"regex.*\$.source"),
        (priced(model="m" * 5000), "length <= 4096"),
        (priced(hours=[[0, 99999]]), "<= 1440"),
        (priced(days=[7]), "<= 6"),
        (priced(starts=2**62), r"\$.starts"),
        (priced(until=-(2**62)), r"\$.until"),
        (priced(minimum=-1), r"\$.minimum"),
        (priced(above_tokens=-9), r"\$.above_tokens"),
        (priced(images="per pixel"), "per pixel"),
        ("[" * 100_000, "."),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason_and_the_next_is_read(tmp_path, line, reason):
    bad, good = read_lines(tmp_path, line, {"started_at": 1790856000})
    assert isinstance(bad, Rejected)
    assert bad.line == 1
    assert re.search(reason, bad.reason), bad.reason
    assert good.source == "jsonl"
