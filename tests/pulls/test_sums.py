"""Usage APIs as they are documented: tokens disjoint, money exact, pages followed, days marked when they were read."""

from typing import Any

import pytest

from collector.core.errors import SourceError
from collector.core.money import parse_usd
from collector.core.periods import DAY_S, parse_day
from collector.core.told import ProviderSum, SumsRead
from collector.intake.pulls import PULLS, anthropic, openai, openrouter
from collector.intake.pulls.asking import Asker, Bounds
from collector.intake.pulls.sums import Days, Read, Reading, read_days
from tests.answering import Answer, Asked, Reply, answering

DAY = parse_day("2026-10-01")
AT = 1_790_900_000_000_000
ONE_DAY = Days(DAY, DAY + 1)


def read(api: Read, answer: Answer, days: Days = ONE_DAY, step: int = 31) -> tuple[list[Any], list[Asked]]:
    with answering(answer) as server, Asker(server.url, {}, Bounds(tries=1)) as asker:
        return list(read_days(api, asker, Reading("s", "p", AT, 50), days, step)), server.asked


def bucket(*results: dict[str, Any], day: int = DAY) -> dict[str, Any]:
    return {"object": "bucket", "start_time": day * DAY_S, "end_time": (day + 1) * DAY_S, "results": list(results)}


def page(*buckets: dict[str, Any], following: str | None = None) -> Reply:
    return Reply({"object": "page", "data": list(buckets), "has_more": following is not None, "next_page": following})


COMPLETIONS = {
    "object": "organization.usage.completions.result", "input_tokens": 1_000, "input_cached_tokens": 300,
    "input_cache_write_tokens": 50, "input_audio_tokens": 20, "input_image_tokens": 30, "output_tokens": 500,
    "output_audio_tokens": 40, "output_image_tokens": 60, "num_model_requests": 7, "model": "gpt-4o-2024-08-06",
    "api_key_id": "key_1", "batch": False, "project_id": None, "user_id": None, "service_tier": None,
}  # fmt: skip


def only(path: str, reply: Reply) -> Answer:
    return lambda asked: reply if asked.path.endswith(path) else page()


def test_openai_usage_is_taken_apart() -> None:
    told, asked = read(openai.usage, only("/completions", page(bucket(COMPLETIONS))))
    assert told == [
        ProviderSum(
            "s", DAY, "p", AT, "gpt-4o-2024-08-06", "key_1", "completions", 7,
            {"cache_read": 300, "cache_write_5m": 50, "audio_in": 20, "image_in_tokens": 30, "input": 600,
             "audio_out": 40, "image_out_tokens": 60, "output": 400},
        ),
        SumsRead("s", "p", DAY, DAY + 1, AT),
    ]  # fmt: skip
    assert {each.path for each in asked} == {f"/organization/usage/{name}" for name in openai.USAGE}
    first = next(each for each in asked if each.path.endswith("completions"))
    assert first.param("start_time") == str(DAY * DAY_S)
    assert [value for name, value in first.params if name == "group_by"] == ["model", "api_key_id", "batch"]


def test_what_openai_does_not_state_stays_unstated() -> None:
    told, _ = read(
        openai.usage, only("/images", page(bucket({"images": 3, "num_model_requests": 2, "model": "dall-e"})))
    )
    assert (told[0].meters, told[0].requests, told[0].line) == ({"images_out": 3}, 2, "images")


def test_batches_are_a_line_of_their_own() -> None:
    told, _ = read(openai.usage, only("/completions", page(bucket(COMPLETIONS, {**COMPLETIONS, "batch": True}))))
    assert [each.line for each in told[:-1]] == ["completions", "completions, batch"]


def test_parts_beyond_their_total_are_an_error_with_both_numbers() -> None:
    broken = {**COMPLETIONS, "input_tokens": 10}
    with pytest.raises(SourceError, match=r"input_tokens 10 is less than its parts \{'cache_read': 300"):
        read(openai.usage, only("/completions", page(bucket(broken))))


def test_openai_costs_are_exact_by_line_item() -> None:
    amounts = [("gpt-4o-2024-08-06, input", 0.06), ("gpt-4o-2024-08-06, output", "0.1234567890123"), (None, -1.5)]
    results = [
        {"object": "organization.costs.result", "amount": {"value": value, "currency": "usd"}, "line_item": line,
         "project_id": None, "api_key_id": None, "quantity": None, "quantity_unit": None}
        for line, value in amounts
    ]  # fmt: skip
    told, _ = read(openai.costs, lambda _: page(bucket(*results)))
    assert [(each.model, each.line, each.cost) for each in told[:-1]] == [
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06, input", parse_usd("0.06")),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06, output", parse_usd("0.1234567890123")),
        ("", "", -parse_usd("1.5")),
    ]


def test_another_currency_is_refused() -> None:
    result = {"amount": {"value": 1, "currency": "eur"}}
    with pytest.raises(SourceError, match="in 'eur': only usd"):
        read(openai.costs, lambda _: page(bucket(result)))


def test_pages_are_followed_to_the_last() -> None:
    def answer(asked: Asked) -> Reply:
        n = int(asked.param("page") or 0)
        return page(bucket(COMPLETIONS, day=DAY + n), following=str(n + 1) if n < 3 else None)

    told, _ = read(lambda *a: (e for e in openai.usage(*a) if e.line == "completions"), answer, Days(DAY, DAY + 4))
    assert [each.day - DAY for each in told[:-1]] == [0, 1, 2, 3]


def test_a_page_that_follows_itself_ends_with_an_error() -> None:
    with pytest.raises(SourceError, match="same page as its next one for ever"):
        read(openai.costs, lambda _: page(following="x"))


def test_pages_without_end_are_bounded() -> None:
    numbers = iter(range(10_000))
    with pytest.raises(SourceError, match="more than max_pages = 50 pages"):
        read(openai.costs, lambda _: page(following=str(next(numbers))))


ANTHROPIC = {
    "uncached_input_tokens": 1_500,
    "cache_creation": {"ephemeral_1h_input_tokens": 1_000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "output_tokens": 500,
    "server_tool_use": {"web_search_requests": 10},
    "api_key_id": "apikey_1",
    "workspace_id": None,
    "model": "claude-sonnet-4",
    "service_tier": "standard",
    "context_window": "0-200k",
}


def days_of(*results: dict[str, Any]) -> Reply:
    data = [{"starting_at": "2026-10-01T00:00:00Z", "ending_at": "2026-10-02T00:00:00Z", "results": list(results)}]
    return Reply({"data": data, "has_more": False, "next_page": None})


def test_anthropic_usage_stands_side_by_side() -> None:
    told, asked = read(anthropic.usage, lambda _: days_of(ANTHROPIC))
    assert told[0] == ProviderSum(
        "s", DAY, "p", AT, "claude-sonnet-4", "apikey_1", "standard, 0-200k", None,
        {"input": 1_500, "cache_read": 200, "cache_write_5m": 500, "cache_write_1h": 1_000, "output": 500},
    )  # fmt: skip
    assert asked[0].param("starting_at") == "2026-10-01T00:00:00Z"
    assert asked[0].path == "/organizations/usage_report/messages"


def test_anthropic_amounts_are_cents() -> None:
    result = {"currency": "USD", "amount": "123.45678912", "description": "Claude Sonnet 4 Usage - Input Tokens",
              "cost_type": "tokens", "model": "claude-sonnet-4", "workspace_id": "w1"}  # fmt: skip
    told, _ = read(anthropic.costs, lambda _: days_of(result))
    assert (told[0].cost, told[0].key, told[0].model) == (parse_usd("1.2345678912"), "w1", "claude-sonnet-4")


ACTIVITY = {
    "date": "2026-10-01", "model": "openai/gpt-4.1", "model_permaslug": "openai/gpt-4.1-2025-04-14",
    "endpoint_id": "550e8400-e29b-41d4-a716-446655440000", "provider_name": "OpenAI", "usage": 0.015,
    "byok_usage_inference": 0.012, "requests": 5, "prompt_tokens": 50, "completion_tokens": 125, "reasoning_tokens": 25,
}  # fmt: skip


def test_openrouter_activity_is_asked_day_by_day_and_endpoints_of_a_provider_are_added_up() -> None:
    def answer(asked: Asked) -> Reply:
        two = [ACTIVITY, {**ACTIVITY, "endpoint_id": "another", "cached_tokens": 10}]
        return Reply({"data": [{**each, "date": asked.param("date")} for each in two]})

    told, asked = read(openrouter.activity, answer, Days(DAY, DAY + 2), step=1)
    assert [each.param("date") for each in asked] == ["2026-10-01", "2026-10-02"]
    assert told[0] == ProviderSum(
        "s", DAY, "p", AT, "openai/gpt-4.1", "", "OpenAI", 10,
        {"input": 90, "reasoning": 50, "output": 200, "cache_read": 10}, parse_usd("0.03"),
    )  # fmt: skip
    assert told[1] == SumsRead("s", "p", DAY, DAY + 1, AT)


def test_openrouter_credits_and_key_are_lines_of_today() -> None:
    told, _ = read(openrouter.credits, lambda _: Reply({"data": {"total_credits": 100.5, "total_usage": 25.75}}))
    assert [(each.line, each.cost) for each in told[:-1]] == [
        ("total_credits", parse_usd("100.5")),
        ("total_usage", parse_usd("25.75")),
    ]
    key = {"label": "sk-or-v1-au7...890", "limit": 100, "usage": 25.5, "usage_daily": 1.5, "usage_weekly": 2.5,
           "usage_monthly": 25.5, "limit_remaining": None, "byok_usage_daily": 17.38,}  # fmt: skip
    told, _ = read(openrouter.key_usage, lambda _: Reply({"data": key}))
    assert {each.line: each.cost for each in told[:-1]}["usage_daily"] == parse_usd("1.5")
    assert "limit_remaining" not in {each.line for each in told[:-1]}


@pytest.mark.parametrize(
    ("api", "body"),
    [
        (openrouter.activity, {"data": [{**ACTIVITY, "usage": "lots"}]}),
        (openrouter.activity, {"data": [{k: v for k, v in ACTIVITY.items() if k != "requests"}]}),
        (openrouter.activity, {"items": []}),
        (openai.usage, {"data": [{"start_time": "2026-10-01", "results": []}]}),
        (openai.costs, {"data": [bucket({"amount": 5})]}),
        (anthropic.usage, {"data": [{"starting_at": "yesterday", "results": []}]}),
        (anthropic.costs, {"data": [{"starting_at": "2026-10-01T00:00:00Z", "results": [{"amount": 12.5}]}]}),
    ],
)
def test_a_changed_schema_is_an_error_that_names_the_field(api: Read, body: Any) -> None:
    with pytest.raises(SourceError, match="in another form than documented"):
        read(api, lambda _: Reply(body))


def test_a_piece_that_fails_leaves_what_was_read_and_no_mark() -> None:
    def answer(asked: Asked) -> Reply:
        is_first = asked.param("date") == "2026-10-01"
        return Reply({"data": [ACTIVITY]}) if is_first else Reply(status=400)

    told: list[Any] = []
    with answering(answer) as server, Asker(server.url, {}, Bounds(tries=1)) as asker, pytest.raises(SourceError):
        told.extend(
            each for each in read_days(openrouter.activity, asker, Reading("s", "p", AT), Days(DAY, DAY + 3), 1)
        )
    with answering(answer) as server, Asker(server.url, {}, Bounds(tries=1)) as asker:
        reading = read_days(openrouter.activity, asker, Reading("s", "p", AT), Days(DAY, DAY + 3), 1)
        assert [type(next(reading)) for _ in range(2)] == [ProviderSum, SumsRead]
        with pytest.raises(SourceError):
            next(reading)


def test_every_pull_has_a_name_of_its_own() -> None:
    assert len({api.name for api in PULLS}) == len(PULLS)
