"""Clients that nobody here wrote, over real sockets, to providers that nobody here wrote and that fail at random.

Each client retries what fails, as its users let it; whatever it did in the end is in the ledger, and adds up.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anthropic
import openai
import pytest
from openrouter import OpenRouter
from openrouter.components import UnknownStreamEvents
from openrouter.errors import NotFoundResponseError, TooManyRequestsResponseError
from openrouter.utils import BackoffStrategy, RetryConfig
from pydantic import BaseModel

from tests.gateway.kept import balanced, ledger, take_in
from tests.gateway.outside import port_of
from tests.gateway.upstreams import aimock, llmock
from tests.processes import WITHIN_S, running

T = TypeVar("T")
RETRIES = 8
GPT, CLAUDE, MERCURIAL = "openai/gpt-4o", "anthropic/claude-sonnet-4", "mercurial"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SETTINGS = """
[settings]
fsync = "interval"
[providers.openai]
base_url = "{steady}/v1"
[providers.azure]
base_url = "{spare}/v1"
[providers.anthropic]
kind = "anthropic"
base_url = "{steady}/anthropic/v1"
[providers.aws]
kind = "anthropic"
base_url = "{spare}/v1"
[providers.openrouter]
kind = "openrouter"
base_url = "{spare}/api/v1"
[providers.breaking]
base_url = "{breaking}/v1"
[providers.breaking-anthropic]
kind = "anthropic"
base_url = "{breaking}/anthropic/v1"
[[endpoints]]
model = "openai/gpt-4o"
provider = "openai"
operations = ["chat", "embeddings", "responses"]
supported_parameters = ["tools", "tool_choice", "response_format"]
[[endpoints]]
model = "openai/gpt-4o"
provider = "azure"
operations = ["chat", "embeddings", "responses"]
[[endpoints]]
model = "anthropic/claude-sonnet-4"
provider = "anthropic"
[[endpoints]]
model = "anthropic/claude-sonnet-4"
provider = "aws"
[[endpoints]]
model = "through/openrouter"
provider = "openrouter"
[[endpoints]]
model = "mercurial"
provider = "breaking"
operations = ["chat", "responses"]
[[endpoints]]
model = "mercurial"
provider = "breaking-anthropic"
"""


class City(BaseModel):
    """What a structured answer is read as."""

    city: str


class Stack:
    """A gateway and where it listens."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.host = f"http://127.0.0.1:{port}"

    def openai(self, path: str = "/v1") -> openai.OpenAI:
        return openai.OpenAI(base_url=self.host + path, api_key="sk-x", max_retries=RETRIES, timeout=WITHIN_S)

    def anthropic(self, path: str = "") -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.host + path, api_key="sk-x", max_retries=RETRIES, timeout=WITHIN_S)

    def openrouter(self) -> OpenRouter:
        retries = RetryConfig("backoff", BackoffStrategy(10, 100, 1.5, 20_000), retry_connection_errors=True)
        return OpenRouter(api_key="sk-x", server_url=f"{self.host}/api/v1", retry_config=retries)


def persistently(ask: Callable[[], T]) -> T:
    """The answer of a client that does not itself try again when it was limited, and asked to wait."""
    for _ in range(60):
        with suppress(TooManyRequestsResponseError):
            return ask()
        time.sleep(0.25)
    return ask()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("clients")
    faults = ("--error-rate", "429=0.2", "--error-rate", "503=0.1")
    breaks = ("--stream-fault", "truncate=0.4", "--stream-fault", "disconnect=0.2")
    with (
        llmock(folder, *faults) as steady,
        llmock(folder, *breaks) as breaking,
        aimock(folder, dropRate=0.1, malformedRate=0.1, rateLimitRate=0.1) as spare,
    ):
        (folder / "callmeter.toml").write_text(SETTINGS.format(steady=steady, spare=spare, breaking=breaking))
        with running(folder, "gateway", "--port", "0", "--no-ingest") as process:
            yield Stack(folder, port_of(process))
            process.process.terminate()
            assert process.process.wait(WITHIN_S) == 0
    engine = ledger(folder)
    take_in(engine, folder)
    books = balanced(engine, folder)
    assert (books.open, books.waiting, books.rejected, books.merged) == (0, 0, 0, 0)
    assert books.stored == books.accepted
    engine.dispose()


@pytest.mark.parametrize("path", ["/v1", "/api/v1"])
def test_openai(stack: Stack, path: str) -> None:
    client = stack.openai(path)
    answer = client.chat.completions.create(model=GPT, messages=HELLO)
    assert (answer.choices[0].finish_reason, answer.usage is not None) == ("stop", True)
    with client.chat.completions.stream(model=GPT, messages=HELLO) as stream:
        assert stream.get_final_completion().choices[0].message.content
    client.chat.completions.parse(model=GPT, messages=HELLO, response_format={"type": "json_object"})
    assert client.embeddings.create(model=GPT, input="hello", encoding_format="float").data[0].embedding
    assert client.responses.create(model=GPT, input="hello").output_text
    with client.responses.stream(model=GPT, input="hello") as events:
        assert events.get_final_response().status == "completed"
    assert {GPT, CLAUDE} <= {model.id for model in client.models.list()} if path == "/v1" else True


def test_openai_asynchronous_and_several_at_once(stack: Stack) -> None:
    async def ask(client: openai.AsyncOpenAI, n: int) -> str:
        parts = []
        async for chunk in await client.chat.completions.create(
            model=GPT, messages=HELLO, stream=True, stream_options={"include_usage": True}, user=f"u{n}"
        ):
            parts += [choice.delta.content or "" for choice in chunk.choices]
        assert chunk.usage is not None  # the last one
        return "".join(parts)

    async def main() -> list[str]:
        base = f"{stack.host}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="sk-x", max_retries=RETRIES, timeout=WITHIN_S) as client:
            return await asyncio.gather(*(ask(client, n) for n in range(12)))

    assert all(asyncio.run(main()))


def test_openai_tools_vision_and_structured_answers(stack: Stack) -> None:
    client = stack.openai()
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
    answer = client.chat.completions.create(model=GPT, messages=HELLO, tools=[tool], tool_choice="required")
    (call,) = answer.choices[0].message.tool_calls or ()
    assert (call.type, answer.choices[0].finish_reason) == ("function", "tool_calls")
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}}
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "hello"}, image]}]
    assert client.chat.completions.create(model=GPT, messages=parts).choices[0].message.content
    parsed = client.chat.completions.parse(model="through/openrouter", messages=HELLO, response_format=City)
    assert parsed.choices[0].message.parsed == City(city="Ulm")


def test_openai_is_told_of_every_stream_that_broke(stack: Stack) -> None:
    whole, told = 0, []
    client = stack.openai()
    for _ in range(20):
        finish = None
        try:
            for chunk in client.chat.completions.create(model=MERCURIAL, messages=HELLO, stream=True):
                finish = next((choice.finish_reason for choice in chunk.choices if choice.finish_reason), finish)
            assert finish == "stop"  # nothing that ended well lacks its end
            whole += 1
        except openai.APIError as error:
            told.append(error.message)
    assert_some_of_each(whole, told, "the provider breaking ")


def assert_some_of_each(whole: int, told: list[str], named: str) -> None:
    """Some ended well, some did not, and of those every client was told who broke off."""
    assert whole
    assert told
    assert all(named in message for message in told), told


@pytest.mark.parametrize("path", ["", "/api"])
def test_anthropic(stack: Stack, path: str) -> None:
    client = stack.anthropic(path)
    message = client.messages.create(model=CLAUDE, max_tokens=64, messages=HELLO)
    assert (message.type, message.stop_reason) == ("message", "end_turn")
    with client.messages.stream(model=CLAUDE, max_tokens=64, messages=HELLO) as stream:
        assert "".join(stream.text_stream)
        assert stream.get_final_message().stop_reason == "end_turn"
    source: Any = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    parts: Any = [{"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": "hello"}]}]
    assert client.messages.create(model=CLAUDE, max_tokens=64, messages=parts).content


def test_anthropic_tools(stack: Stack) -> None:
    tool: Any = {"name": "weather", "input_schema": SCHEMA}
    choice: Any = {"type": "any"}
    client = stack.anthropic()
    message = client.messages.create(model=CLAUDE, max_tokens=64, messages=HELLO, tools=[tool], tool_choice=choice)
    assert [block.type for block in message.content] == ["tool_use"]
    assert message.stop_reason == "tool_use"


def test_anthropic_is_told_of_every_stream_that_broke(stack: Stack) -> None:
    whole, told = 0, []
    client = stack.anthropic()
    for _ in range(20):
        try:
            with client.messages.stream(model=MERCURIAL, max_tokens=64, messages=HELLO) as stream:
                assert stream.get_final_message().stop_reason == "end_turn"
            whole += 1
        except anthropic.APIError as error:
            told.append(error.message)
    assert_some_of_each(whole, told, "the provider breaking-anthropic ")


def test_errors_are_those_that_the_clients_know(stack: Stack) -> None:
    with pytest.raises(openai.NotFoundError, match="'none' is unknown"):
        stack.openai().chat.completions.create(model="none", messages=HELLO)
    with pytest.raises(anthropic.NotFoundError, match="'none' is unknown"):
        stack.anthropic().messages.create(model="none", max_tokens=1, messages=HELLO)
    with pytest.raises(NotFoundResponseError, match="'none' is unknown"):
        stack.openrouter().chat.send(model="none", messages=HELLO)


def test_openrouter(stack: Stack) -> None:
    client = stack.openrouter()
    answer = persistently(lambda: client.chat.send(model=GPT, messages=HELLO))
    assert (answer.choices[0].finish_reason, answer.usage is not None) == ("stop", True)
    assert answer.usage.cost is not None
    assert answer.usage.cost_details is not None
    with persistently(lambda: client.chat.send(model=GPT, messages=HELLO, stream=True)) as stream:
        chunks = list(stream)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.cost is not None
    assert any(choice.finish_reason == "stop" for chunk in chunks for choice in chunk.choices)
    assert persistently(lambda: client.embeddings.generate(model=GPT, input="hello")).data
    generation = client.generations.get_generation(id=answer.id).data
    assert (generation.id, generation.streamed, generation.finish_reason) == (answer.id, False, "stop")


def test_openrouter_responses(stack: Stack) -> None:
    client = stack.openrouter()
    assert persistently(lambda: client.responses.send(model=GPT, input="hello")).status == "completed"
    with persistently(lambda: client.responses.send(model=GPT, input="hello", stream=True)) as stream:
        unknown = [event.raw for event in stream if isinstance(event, UnknownStreamEvents)]
    assert [event for event in unknown if "sequence_number" in event] == []  # which aimock leaves out


def test_openrouter_models_and_endpoints(stack: Stack) -> None:
    client = stack.openrouter()
    assert {model.id for model in client.models.list().result.data} >= {GPT, CLAUDE}
    assert client.models.count().data.count == 4
    endpoints = client.endpoints.list(author="openai", slug="gpt-4o").data.endpoints
    assert [endpoint.tag for endpoint in endpoints] == ["openai", "azure"]


def test_openrouter_key(stack: Stack) -> None:
    told = stack.openrouter().api_keys.get_current_key_metadata().data
    assert (told.label, told.limit, told.limit_remaining) == ("no key", None, None)


def test_openrouters_own_answers_go_on_as_they_came(stack: Stack) -> None:
    answer = persistently(lambda: stack.openrouter().chat.send(model="through/openrouter", messages=HELLO))
    assert answer.id.startswith("gen-")
