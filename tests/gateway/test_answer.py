"""What an answer says: the same of a stream as of the same answer unstreamed, and every way of telling an error."""

import json
from decimal import Decimal

import pytest

from collector.core.outcomes import Facts, Outcome
from collector.intake.gateway.answer import Fault, Seen, read_fault, read_plain
from collector.intake.gateway.dialects import CHAT
from collector.intake.gateway.failures import cleaned, problem_of
from collector.intake.gateway.routing import Route
from tests.gateway.heard import heard

SHAPE = "openai.chat"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13, "cost": 0.00123}
CALLS = [{"index": n, "id": f"c{n}", "function": {"name": "f", "arguments": "{}"}} for n in range(2)]


def plain(**message: object) -> Seen:
    finish = "tool_calls" if "tool_calls" in message else "stop"
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {"id": "x", "model": "m-2", "provider": "P", "service_tier": "flex", "choices": [choice], "usage": USAGE}
    return read_plain(json.dumps(body).encode(), SHAPE)


def streamed(*deltas: dict[str, object], finish: str = "stop") -> Seen:
    head = {"id": "x", "model": "m-2", "provider": "P", "service_tier": "flex"}
    choices: list[list[object]] = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
    choices += [[{"index": 0, "delta": {}, "finish_reason": finish}], []]
    parts: list[dict[str, object]] = [{**head, "choices": choice} for choice in choices]
    parts[-1]["usage"] = USAGE
    events = "".join(f"data: {json.dumps(part)}\n\n" for part in parts)
    return heard(CHAT, (events + "data: [DONE]\n\n").encode(), SHAPE)


def comparable(seen: Seen) -> tuple[object, ...]:
    return tuple(getattr(seen, name) for name in Seen.__struct_fields__ if name != "parts")


def test_a_text_streamed_or_not_says_the_same() -> None:
    assert comparable(streamed({"role": "assistant"}, {"content": "a"}, {"content": "b"})) == (
        comparable(plain(content="ab"))
    )


def test_function_calls_streamed_in_pieces_are_counted_once_each() -> None:
    pieces = [{"tool_calls": [{"index": n, "function": {"arguments": "{"}}]} for n in (0, 0, 1, 1, 0)]
    seen = streamed(*pieces, finish="tool_calls")
    assert comparable(seen) == comparable(plain(content=None, tool_calls=CALLS))
    assert seen.tool_calls == 2


def test_images_of_an_answer_are_counted() -> None:
    assert plain(content="", images=[{"type": "image_url"}] * 3).images_out == 3
    assert streamed({"images": [{"type": "image_url"}]}, {"images": [{"type": "image_url"}]}).images_out == 2


def test_no_amount_of_money_becomes_a_float() -> None:
    assert plain(content="x").usage == {**USAGE, "cost": Decimal("0.00123")}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"error": {"message": "m", "type": "t", "code": "c", "param": "p"}}, Fault("m", "t", "c", "p")),
        ({"error": {"message": "m", "code": 429}}, Fault("m", None, "429", None, 429)),
        ({"error": {"message": "m", "code": 200}}, Fault("m", None, "200")),
        ({"error": {"code": 502, "message": "m", "metadata": {"error_type": "x"}}}, Fault("m", "x", "502", None, 502)),
        ({"error": "text"}, Fault("text")),
        ({"error": ["odd"]}, Fault("['odd']")),
        ({"message": "m", "type": "t", "code": "c"}, Fault("m", "t", "c")),
        ({"detail": "Not Found"}, Fault("Not Found")),
        ({"detail": [{"loc": ["body"]}]}, Fault("")),
        ({"error": None}, None),
        ({"choices": []}, None),
        ([], None),
    ],
)
def test_every_way_of_telling_an_error_is_read(body: object, fault: Fault | None) -> None:
    assert read_fault(json.dumps(body).encode()) == fault


@pytest.mark.parametrize("body", [b"", b"x", b"{", b"\xff", b"[" * 100_000, b'{"error": {"message": "\xff"}}'])
def test_what_is_no_json_tells_no_error_and_is_no_answer(body: bytes) -> None:
    assert read_fault(body) in (None, Fault(""))
    assert read_plain(body, SHAPE).malformed or body.startswith(b'{"error')


@pytest.mark.parametrize("odd", [{"id": 5}, {"model": ["x"]}, {"choices": {"a": 1}}, {"choices": [{"index": "0"}]}])
def test_members_of_odd_types_do_not_cost_the_usage(odd: dict[str, object]) -> None:
    seen = read_plain(json.dumps({"choices": [], "usage": USAGE, **odd}).encode(), SHAPE)
    assert not seen.malformed
    assert seen.usage is not None
    assert seen.usage["prompt_tokens"] == 9


@pytest.mark.parametrize(
    ("status", "fault", "key_holder", "told"),
    [
        (400, Fault("m", "t", "c", "p"), "caller", (400, "c", "m")),
        (429, Fault(), "ours", (429, "rate_limit_exceeded", "the provider P answered with HTTP 429")),
        (401, Fault("wrong key: sk-abcdef123"), "caller", (401, "invalid_api_key", "wrong key: [key]")),
        (200, Fault(""), "ours", (502, "provider_error", "the provider P told an error in place of its answer")),
        (401, Fault("sk-abcdef123"), "ours", (502, "provider_refused_key", None)),
        (404, Fault("no model"), "ours", (404, "not_found", "no model")),
        (200, Fault("m", None, "503", None, 503), "ours", (503, "provider_unavailable", "m")),
        (200, Fault("m"), "ours", (502, "provider_error", "m")),
        (302, None, "ours", (502, "provider_error", "the provider P answered with HTTP 302")),
        (500, Fault("bad\x00\nline " + "x" * 2000), "ours", (500, "provider_error", "bad  line " + "x" * 990)),
    ],
)  # fmt: skip
def test_what_a_client_is_told_of_a_providers_error(
    status: int, fault: Fault | None, key_holder: str, told: tuple[int, str, str | None]
) -> None:
    route = Route("P", "openai", "http://x/v1", key_holder)
    outcome = Outcome.PROVIDER_FAULT if key_holder == "ours" else Outcome.CALLER_FAULT
    problem = problem_of(route, Facts(status), outcome, cleaned(fault, ()) if fault else None, "chat")
    assert (problem.status, problem.code) == told[:2]
    assert told[2] in (None, problem.message)
