from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.errors import UsageError
from collector.core.latency import SHARES, of_calls, of_cells
from collector.core.periods import parse_period
from collector.core.selection import Selection
from collector.ledger.questions import latency
from collector.ledger.questions.ask import declared_zones, rows
from collector.settings import Limits
from tests import random_calls
from tests.stored import NOW_US, store
from tests.tables import calls

MILLIS = [1, 5, 40, 90, 840, 841, 2_000, 30_000, 31_000, 60_000]
TABLE = "\n".join(
    f"2026-10-0{1 + n % 2}T12:{n:02d} {'ab'[n % 2]} m 10/{ms} ok {ms}ms first_token_ms={ms // 2} app=shop"
    for n, ms in enumerate(MILLIS)
)
FAILED = "2026-10-01T13:00 a m - provider_fault 99999ms app=shop"


@pytest.fixture
def engine(tmp_path):
    return store(tmp_path, calls(f"{TABLE}\n{FAILED}"))


def days(zone="UTC", text="2026-10-01..2026-10-03"):
    return parse_period(text, zone, NOW_US)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
def test_cells_of_several_days_add_up_to_percentiles_of_all_answers(engine, zone):
    found = of_cells(rows(engine, latency.cells_of(Selection(zone=zone), days(zone), declared_zones(engine))))
    assert (found.latency_ms.count, found.first_token_ms.count, found.throughput.count) == (10, 10, 10)
    for share, exact in ((0.5, 840), (0.75, 2_000), (0.9, 31_000), (0.99, 31_000)):
        name = next(name for name, value in SHARES.items() if value == share)
        assert found.latency_ms.percentiles[name] == pytest.approx(exact, rel=0.025)
        assert found.throughput.percentiles[name] == pytest.approx(1_000, rel=0.025)


def test_single_calls_give_the_same_figures_as_cells(engine):
    from_cells = of_cells(rows(engine, latency.cells_of(Selection(), days(), declared_zones(engine))))
    from_calls = of_calls(rows(engine, latency.calls_of(Selection(apps=("shop",)), days(), Limits())))
    assert from_calls == from_cells


def test_percentiles_by_provider(engine):
    found = rows(engine, latency.cells_of(Selection(group="provider"), days(), declared_zones(engine)))
    by_provider = {name: of_cells(row for row in found if row.group == name) for name in ("a", "b")}
    assert {name: figures.latency_ms.count for name, figures in by_provider.items()} == {"a": 5, "b": 5}


def test_nothing_measured_has_no_percentiles(engine):
    nothing = of_cells(rows(engine, latency.cells_of(Selection(models=("none",)), days(), declared_zones(engine))))
    assert (nothing.latency_ms.count, nothing.latency_ms.percentiles) == (0, {})


def test_what_cells_do_not_know_is_read_from_some_days_of_calls(engine):
    assert latency.needs_calls(Selection(apps=("shop",)))
    assert not latency.needs_calls(Selection(models=("m",), group="provider"))
    with pytest.raises(UsageError, match="not by app"):
        latency.cells_of(Selection(apps=("shop",)), days(), declared_zones(engine))
    with pytest.raises(UsageError, match="7 days at most"):
        latency.calls_of(Selection(apps=("shop",)), days(text="2026-10-01..2026-10-09"), Limits())


ALL_DAYS = f"{random_calls.FIRST_DAY}..{random_calls.END_DAY}"
OTHER_ZONES = ("Asia/Kathmandu", "America/St_Johns", "America/Los_Angeles", "Pacific/Apia", "Pacific/Kiritimati")


@given(
    random_calls.many,
    st.sampled_from(OTHER_ZONES),
    st.sampled_from([ALL_DAYS, "2024-03-29..2024-04-02", "2021-04-02..2021-04-05", "2026-10-01"]),
    st.sampled_from(random_calls.NIGHTS_S),
    st.integers(7 * 24 * 60, 9 * 24 * 60),
    st.sampled_from([{}, {"group": "provider"}, {"models": ("m",)}]),
)
@settings(max_examples=60, deadline=None)
def test_days_of_other_zones_made_of_utc_days_are_those_made_of_hours(some, zone, text, night_s, minutes, chosen):
    period = parse_period(text, zone, NOW_US)
    with TemporaryDirectory() as folder:
        engine = store(Path(folder), some, now_us=(night_s + minutes * 60) * 10**6)
        by_day, whole = (
            [
                figures(rows(engine, latency.cells_of(Selection(zone=zone, **chosen), period, zones, bucket)), bucket)
                for zones in (declared_zones(engine), frozenset())
            ]
            for bucket in ("day", "")
        )
        assert by_day[0] == by_day[1]
        assert whole[0] == whole[1]
        engine.dispose()


def figures(cells, bucket):
    """What was measured, by group, and by day where days are told apart."""
    places = {(row.day if bucket else None, row.group) for row in cells}
    found = {
        place: of_cells(row for row in cells if (row.day if bucket else None, row.group) == place) for place in places
    }
    return {place: its for place, its in found.items() if its.latency_ms.count or its.first_token_ms.count}
