"""Whatever is stored, merged, priced anew, closed and opened: what is booked adds up to what was used."""

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.core.money import parse_usd
from collector.core.periods import END_US, FIRST_US, Period, parse_period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.finance.books import booked_differences
from collector.finance.close import close, reopen
from collector.finance.export import booked_request, export
from collector.finance.months import month_at, month_named, month_of
from collector.finance.overview import months_of
from collector.finance.why_booked import why_booked
from collector.ledger.check import check
from collector.ledger.questions.booked import books
from collector.ledger.reprice import Author, Which, reprice
from tests.random_calls import calls as random_call
from tests.random_calls import distinct
from tests.stored import ZONES, store
from tests.tables import call, calls

FIVE_ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")
CHEAPER = PriceBook([Files("test", [PriceSet(model="m", prices={"input": 3, "output": 7}, source="new")], Names())])
ALL = Period(0, 2**52)
# the months that the random nights are in, and one more
MONTHS = ("2021-03", "2021-04", "2021-05")
LATER_US = 1_800_000_000_000_000
some_calls = st.lists(random_call(), min_size=1, max_size=6).map(distinct)


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(FIVE_ZONES),
    some_calls,
    st.lists(st.one_of(some_calls, st.sampled_from(["close", "close", "reopen", "reprice"])), max_size=7),
)
def test_what_is_booked_adds_up_to_what_was_used(zone, first, acts):
    with TemporaryDirectory() as name:
        folder = Path(name)
        engine = store(folder, first)
        handed_out = {}
        for act in acts:
            done = do(engine, folder, zone, act)
            if act == "close":
                handed_out[done] = file_of(engine, folder, zone, done)
            elif act == "reopen":
                handed_out.pop(done, None)
        assert check(engine) == []
        assert booked_differences(engine, ZONES) == []
        for month, content in handed_out.items():
            assert file_of(engine, folder, zone, month) == content
            assert_lines_hold(content)
        assert_months_are_their_files(engine, folder, zone)
        engine.dispose()


def assert_months_are_their_files(engine, folder, zone):
    """The overview: over all months booked = used, and each month books what its file adds up to."""
    months = months_of(engine, ZONES, zone, LATER_US).months
    assert sum(each.used for each in months) == sum(each.own + each.corrections for each in months)
    for each in months[-8:]:
        total = file_of(engine, folder, zone, each.month).splitlines()[-1].split(",")[10]
        assert parse_usd(total) == each.own + each.corrections
        told = why_booked(engine, ZONES, month_named(each.month, zone))
        assert told.cost == each.own + each.corrections
        assert sum(section.cost for section in told.sections if section.corrects) == each.corrections


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_first_and_the_last_instant_that_are_stored_can_be_booked_late(zone: str, tmp_path: Path) -> None:
    """They are of days, and of months, that can be written in every zone."""
    engine = store(tmp_path, calls("2026-10-01T12:00 openai m 1000/0 ok"), zones=("UTC", zone))
    close(engine, ("UTC", zone), "2026-10", zone, "ann", LATER_US)
    odd = call("12:00 openai m 1000/0 ok")
    for n, at_us in enumerate((FIRST_US, END_US - 1)):
        store(tmp_path, [replace(odd, id=f"{n:032x}", started_at=at_us)], zones=("UTC", zone))
    close(engine, ("UTC", zone), "2026-11", None, "ann", LATER_US)
    assert why_booked(engine, ("UTC", zone), month_named("2026-11", zone)).cost == 10_000_000_000
    last = why_booked(engine, ("UTC", zone), month_named(month_at(END_US - 1, zone), zone))
    assert (last.month, last.cost) == ("2199-12", 10_000_000_000)


def do(engine, folder, zone, act):
    state = books(engine)
    if act == "close":
        month = MONTHS[0] if state.open_day is None else month_of(state.open_day)
        close(engine, ZONES, month, zone, "ann", LATER_US)
        return month
    if act == "reopen":
        if not state.closed:
            return None
        reopen(engine, state.closed[-1].month, "why", "ann", LATER_US)
        return state.closed[-1].month
    if act == "reprice":
        reprice(engine, CHEAPER, Which(ALL, stated=True), LATER_US, Author("ann", "why"))
        return None
    store(folder, act).dispose()
    return None


def file_of(engine, folder, zone, month):
    out = folder / "month.csv"
    export(engine, ZONES, booked_request(month_named(month, zone)), out)
    return out.read_text()


def assert_lines_hold(content):
    *lines, total = csv.DictReader(io.StringIO(content, newline=""))
    priced = [line for line in lines if line["cost_usd"]]
    for line in priced:
        assert int(line["quantity"]) * parse_usd(line["unit_price_usd"]) == parse_usd(line["cost_usd"])
    assert sum(parse_usd(line["cost_usd"]) for line in priced) == parse_usd(total["cost_usd"])


def test_no_two_months_of_a_zone_overlap_or_leave_a_gap():
    for zone in FIVE_ZONES:
        for one, following in (("2026-03", "2026-04"), ("2026-10", "2026-11"), ("2026-12", "2027-01")):
            assert month_named(one, zone).period.end_us == month_named(following, zone).period.start_us
            assert month_named(one, zone).end_day == month_named(following, zone).first_day
            assert parse_period(one, zone, 0) == month_named(one, zone).period
