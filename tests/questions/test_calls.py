import pytest

from collector.core.errors import UsageError
from collector.core.money import format_usd
from collector.core.periods import parse_period
from collector.core.selection import Selection
from collector.finance.columns import CALL_COLUMNS
from collector.finance.records import values
from collector.ledger.questions import calls as questions
from collector.ledger.questions.ask import rows
from collector.ledger.questions.endings import Ending
from collector.ledger.questions.trouble import cost_of
from collector.settings import Limits
from tests.stored import NOW_US, ZONES, store
from tests.tables import calls, instant

TABLE = """
    12:00:00.000001 openai m    1000/500 ok 840ms images_in=2 app=shop key=k1 user=ann session=s tags=team:a streamed=1
    12:01    dear   m     10/1   ok attempts=openai:provider_fault,dear:ok first_token_ms=9 service_tier=flex
    12:01    openai other 100/10 caller_fault http_status=400 error_type=bad_request
    12:02    -      -     -      refused
    12:03    openai m     5/5    ok cost=12 original_cost=-7 video_in=3 reported_cost=5 origin_id=r-1
"""
DAY = parse_period("2026-10-01", "UTC", NOW_US)


@pytest.fixture
def engine(tmp_path):
    return store(tmp_path, calls(TABLE))


def test_the_question_says_what_the_view_says_in_the_same_columns(engine):
    found = [values(row) for row in rows(engine, questions.in_order(Selection(), DAY))]
    with engine.connect() as connection:
        view = connection.exec_driver_sql("SELECT * FROM v_calls ORDER BY started_at, id")
        assert list(view.keys()) == list(CALL_COLUMNS)
        assert [tuple(row) for row in found] == [tuple(row) for row in view]
    assert len(found) == 5


def test_pages_go_back_in_time_and_miss_none(engine):
    seen, before = [], None
    while page := rows(engine, questions.page(Selection(), DAY, before, limit=2)):
        seen += [row.id for row in page]
        before = (page[-1].started_at, page[-1].id.hex())
    in_order = [row.id for row in rows(engine, questions.in_order(Selection(), DAY))]
    assert seen == in_order[::-1]


@pytest.mark.parametrize(
    ("chosen", "ending", "count"),
    [
        ({"apps": ("shop",)}, {}, 1),
        ({"apps": ("",)}, {}, 4),
        ({}, {"outcomes": ("refused", "caller_fault")}, 2),
        ({"models": ("m",)}, {"outcomes": ("ok",)}, 3),
        ({}, {"statuses": ("400",)}, 1),
        ({}, {"statuses": ("4xx", "none")}, 5),
        ({}, {"statuses": ("5xx",)}, 0),
        ({}, {"error_types": ("bad_request", "nobody said this")}, 1),
        ({}, {"error_types": ("none",)}, 4),
        ({"providers": ("dear",)}, {"error_types": ("bad_request",)}, 0),
        ({}, {"outcomes": ("ok",), "statuses": ("400",)}, 0),
    ],
)
def test_a_page_can_be_filtered_and_what_it_cost_is_of_the_same_calls(engine, chosen, ending, count):
    ending = Ending(**ending)
    assert len(rows(engine, questions.page(Selection(**chosen), DAY, ending=ending))) == count
    sums = rows(engine, cost_of(ending, Selection(**chosen), DAY, ZONES, Limits()))
    assert sum(row.calls for row in sums) == count


def test_what_single_calls_cost_is_the_sum_of_their_rows(engine):
    sums = rows(engine, cost_of(Ending(statuses=("none",)), Selection(), DAY, ZONES, Limits()))
    found = rows(engine, questions.page(Selection(), DAY, ending=Ending(statuses=("none",))))
    assert sum(row.cost_picousd for row in sums) == sum(row.cost_picousd or 0 for row in found) > 0
    assert sum(row.unpriced_calls for row in sums) == sum(row.unpriced_reason is not None for row in found)


def test_single_calls_are_counted_for_a_week_at_most():
    month = parse_period("2026-10", "UTC", NOW_US)
    with pytest.raises(UsageError, match="counted one by one, for 7 days at most: choose a shorter period"):
        cost_of(Ending(statuses=("5xx",)), Selection(), month, ZONES, Limits())


def test_one_call_and_its_attempts(engine):
    (asked,) = [call for call in calls(TABLE) if call.attempts]
    (found,) = rows(engine, questions.one(asked.id))
    assert (found.provider, found.service_tier, found.attempts) == ("dear", "flex", 2)
    attempts = rows(engine, questions.attempts_of(asked.id))
    assert [(row.n, row.provider, row.outcome) for row in attempts] == [
        (1, "openai", "provider_fault"),
        (2, "dear", "ok"),
    ]
    assert found.started_at == instant("12:01")


def test_what_is_no_id_is_named(engine):
    with pytest.raises(UsageError, match="'zz' is not the id of a call"):
        questions.one("zz")
    with pytest.raises(UsageError, match="outcome='fine'"):
        questions.page(Selection(), DAY, ending=Ending(outcomes=("fine",)))
    with pytest.raises(UsageError, match="status='teapot' is no HTTP status: write one such as 503, 5xx or none"):
        questions.page(Selection(), DAY, ending=Ending(statuses=("teapot",)))


def test_a_page_and_a_call_are_found_by_an_index(engine):
    for question in (questions.page(Selection(), DAY, (DAY.end_us, "00" * 16)), questions.in_order(Selection(), DAY)):
        text = question.compile(engine, compile_kwargs={"render_postcompile": True})
        values_in_order = tuple(text.params[name] for name in text.positiontup)
        with engine.connect() as connection:
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values_in_order)
            plan = " ".join(row[3] for row in steps)
        assert "USING INDEX calls_started_at" in plan
        assert "SCAN calls" not in plan
        assert "ORDER BY" not in plan


def test_costs_are_exact_text(engine):
    (row,) = [row for row in rows(engine, questions.in_order(Selection(), DAY)) if row.origin_id]
    assert values(row)[list(CALL_COLUMNS).index("cost_usd")] == format_usd(12) == "0.000000000012"
