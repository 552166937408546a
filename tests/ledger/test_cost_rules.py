"""Whose call costs what: failures, empty answers, own keys, answers out of a cache, and what a reported cost is not."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from collector.core.calls import Attempt, Call
from collector.core.outcomes import Facts, Outcome, decide
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.intake.gateway import answer_responses
from collector.intake.gateway.answer import read_plain
from collector.intake.gateway.asked import Asked
from collector.intake.gateway.dialects import RESPONSES
from collector.intake.gateway.identity import App
from collector.intake.gateway.operations import OPERATIONS
from collector.intake.gateway.record import Caller, closed, opened, unread
from collector.intake.gateway.routing import Route
from collector.ledger.check import check
from tests.gateway.heard import heard
from tests.stored import BOOK, store
from tests.tables import call, instant

CHAT = OPERATIONS[0]
ROUTE = Route(provider="openrouter", kind="openrouter", base_url="http://127.0.0.1", key_holder="ours")
AT = instant("12:00")
ZERO_USAGE = b'"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0,"cost":0}'


def row(folder: Path, one: Call, book: PriceBook = BOOK) -> dict[str, Any]:
    engine = store(folder, [one], book=book)
    assert check(engine) == []
    with engine.connect() as connection:
        return dict(connection.exec_driver_sql("SELECT * FROM v_calls").mappings().one())


@pytest.mark.parametrize(
    ("line", "cost", "reason"),
    [
        # none reported, none charged
        ("12:00 openai m - provider_fault http_status=503", 0, None),
        ("12:00 openai m - provider_fault images_in=3 quality=none", 0, None),
        ("12:00 openai m - rate_limited http_status=429", 0, None),
        ("12:00 openai m - caller_fault http_status=400", 0, None),
        ("12:00 openai m - refused http_status=404", 0, None),
        # what was reported is charged, however the call ended: 100 x 10 + 7 x 30 USD per million
        ("12:00 openai m 100/7 provider_fault quality=partial", 1_210_000_000, None),
        ("12:00 openai m 100/7 cancelled quality=partial", 1_210_000_000, None),
        ("12:00 openai m 100/7 caller_fault", 1_210_000_000, None),
        # no completion: the prompt alone
        ("12:00 openai m 100/0 ok", 1_000_000_000, None),
        ("12:00 openai m 0/0 ok", 0, None),
        ("12:00 openai free 100/7 ok", 0, None),
        # an answer, or half of one, of unknown usage: its cost is unknown, not 0
        ("12:00 openai m - ok", None, "no usage was reported"),
        ("12:00 openai m - ok images_in=2 quality=none", None, "no usage was reported"),
        ("12:00 openai m - ok tool_calls=1 images_out=1 quality=none", None, "no usage was reported"),
        ("12:00 openai m - cancelled", None, "no usage was reported"),
        ("12:00 openai m - interrupted", None, "no usage was reported"),
        # more than the ledger can hold for one call: the call is kept, and its usage is seen
        (
            "12:00 openai m 1000000000000/0 ok",
            None,
            "more than 100000 USD for one call by the price of m (test)",
        ),
        # a reported cost is not a cost
        ("12:00 openai m 100/0 ok reported_cost=5", 1_000_000_000, None),
        ("12:00 openai other 100/0 ok reported_cost=5", None, "no price for other at openai"),
    ],
)
def test_cost_follows_usage(tmp_path: Path, line: str, cost: int | None, reason: str | None) -> None:
    found = row(tmp_path, call(line))
    assert (found["cost_picousd"], found["unpriced_reason"]) == (cost, reason)


def through_the_gateway(body: bytes, *, streamed: bool = False) -> Call:
    """The record of a call with two pictures that was answered with this."""
    asked = Asked(b"", {}, model="m", stream=streamed, images=2)
    call = opened(unread("0" * 12 + "7" + "0" * 19, AT, CHAT), asked, Caller(App(None, None)))
    seen = heard(CHAT.dialect, body, CHAT.usage_shape) if streamed else read_plain(body, CHAT.usage_shape)
    facts = Facts(200, key_holder="ours", streamed=streamed, terminal=seen.terminal)
    tried = Attempt("openrouter", "m", AT, decide(facts), 200)
    return closed(
        call,
        route=ROUTE,
        facts=facts,
        seen=seen,
        attempts=(tried,),
        http_status=200,
        latency_ms=5,
        first_token_ms=None,
        shape="openrouter",
    )


ANSWER = b'{"id":"g1","model":"m","choices":[{"index":0,"message":{"content":"hi"},"finish_reason":"stop"}],%s}'
STREAM = (
    b'data: {"id":"g1","model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"g1","model":"m","choices":[],%s}\n\ndata: [DONE]\n\n'
)


SEARCHED = (
    b'{"id":"r1","model":"m","status":"completed","output":[{"type":"web_search_call","action":{"type":"search"}},'
    b'{"type":"web_search_call","action":{"type":"open_page"}},{"type":"web_search_call"},{"type":"file_search_call"},'
    b'{"type":"function_call"},{"type":"message"}],"usage":%s}'
)
USED = b'{"input_tokens":100,"output_tokens":5,"total_tokens":105%s}'
SEARCHING = PriceSet(model="m", prices={"input": 10, "output": 30, "web_searches": 10_000_000_000}, source="test")


@pytest.mark.parametrize(
    ("usage", "shape", "searches"),
    [
        (USED % b"", "openai.responses", 2),
        (USED % b',"server_tool_use":{"web_search_requests":1}', "openrouter.responses", 1),  # what it states counts
        (b"null", "openai.responses", 0),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_searches_that_a_response_lists_are_charged_where_they_have_a_price(
    tmp_path: Path, usage: bytes, shape: str, searches: int, streamed: bool
) -> None:
    """A page opened in a search's result costs nothing; a tool without a price is counted."""
    body = SEARCHED % usage
    body = b'data: {"type":"response.completed","response":%s}\n\n' % body if streamed else body
    seen = heard(RESPONSES, body, shape) if streamed else answer_responses.read_plain(body, shape)
    asked = Asked(b"", {}, model="m", stream=streamed)
    one = closed(
        opened(unread("0" * 12 + "7" + "0" * 19, AT, CHAT), asked, Caller(App(None, None))),
        route=ROUTE,
        facts=Facts(200, key_holder="ours", streamed=streamed, terminal=True),
        seen=seen,
        attempts=(Attempt("openrouter", "m", AT, Outcome.OK, 200),),
        http_status=200,
        latency_ms=5,
        first_token_ms=None,
        shape=shape,
    )
    assert one.meters.get("web_searches", 0) == searches
    found = row(tmp_path, one, PriceBook([Files("test", [SEARCHING], Names())]))
    assert found["cost_picousd"] == (100 * 10 + 5 * 30 + searches * 10_000_000_000 if searches else None)


@pytest.mark.parametrize(("body", "streamed"), [(ANSWER % ZERO_USAGE, False), (STREAM % ZERO_USAGE, True)])
def test_an_answer_out_of_the_response_cache_costs_0_with_its_pictures(
    tmp_path: Path, body: bytes, streamed: bool
) -> None:
    """OpenRouter states 0 for all that it bills of such an answer; the request's pictures are not charged either."""
    one = through_the_gateway(body, streamed=streamed)
    assert (one.outcome, one.quality, one.reported_cost) == (Outcome.OK, "exact", 0)
    found = row(tmp_path, one)
    assert (found["cost_picousd"], found["images_in"]) == (0, None)


def test_any_metered_token_brings_the_pictures_back(tmp_path: Path) -> None:
    usage = b'"usage":{"prompt_tokens":1,"completion_tokens":0,"total_tokens":1}'
    found = row(tmp_path, through_the_gateway(ANSWER % usage))
    assert found["cost_picousd"] == 1 * 10_000_000 + 2 * 14_450_000_000


def test_on_the_caller_s_own_key_the_fee_and_the_upstream_s_cost_are_reported_and_neither_is_the_cost(
    tmp_path: Path,
) -> None:
    usage = (
        b'"usage":{"prompt_tokens":100,"completion_tokens":0,"total_tokens":100,"cost":0.00005,"is_byok":true,'
        b'"cost_details":{"upstream_inference_cost":0.001}}'
    )
    found = row(tmp_path, through_the_gateway(ANSWER % usage))
    assert found["reported_cost_picousd"] == 50_000_000 + 1_000_000_000
    with sqlite3.connect(tmp_path / "callmeter.db") as ledger:
        assert ledger.execute("SELECT own_key_cost FROM calls").fetchall() == [(1_000_000_000,)]
    assert found["cost_picousd"] == 100 * 10_000_000 + 2 * 14_450_000_000
