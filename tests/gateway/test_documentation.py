"""docs and openapi.json say what is served: the same paths, every member that is read, examples that are taken."""

import asyncio
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from collector.intake.gateway.asked import read_asked
from collector.intake.gateway.operations import BY_PATH, OPERATIONS, SURFACES
from collector.intake.gateway.pages import docs, openapi
from collector.intake.gateway.pages.examples import EXAMPLES
from collector.intake.gateway.pages.fields import FIELDS, REQUIRED
from collector.intake.gateway.pages.models import QUERY
from collector.intake.gateway.pages.served import Asked, Sources
from collector.intake.gateway.pages.table import PAGES, find, handler_of
from collector.intake.gateway.wishes import Preferences, read_wishes
from collector.settings import Endpoint, Provider, Settings
from tests.gateway.inside import Answered, Asking, inside, plain
from tests.gateway.published import document as published
from tests.gateway.spoken import ALL

DOCUMENT = openapi.document()
BY_NAME = {operation.name: operation for operation in OPERATIONS}
EXAMPLE_NAMES = [(operation, name) for operation, examples in EXAMPLES.items() for name in examples]
NOW_US = 1_795_000_000_000_000


def ask(folder: Path, path: str, method: str = "GET", **headers: str) -> Answered:
    """One request to a gateway whose provider takes any model."""
    found: list[Answered] = []

    async def main() -> None:
        async with inside(folder) as live:
            client = Asking(b"", path, method, **headers)
            await live.gateway(client.scope, client.receive, client.send)
            found.append(Answered(client.messages))

    asyncio.run(main())
    return found[0]


def resolved(schema: Any) -> Any:
    """A schema of the document with its references put in."""
    if isinstance(schema, dict) and "$ref" in schema:
        return resolved(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if isinstance(schema, dict):
        return {name: resolved(each) for name, each in schema.items()}
    return [resolved(each) for each in schema] if isinstance(schema, list) else schema


def test_the_document_has_the_paths_that_are_served_and_no_other() -> None:
    pages = {page.path.replace("...", "") for page in PAGES}
    assert DOCUMENT["paths"].keys() == BY_PATH.keys() | pages | {"/healthz", "/readyz"}
    assert all(DOCUMENT["paths"][path].keys() == {"post"} for path in BY_PATH)
    assert all(DOCUMENT["paths"][path].keys() == {"get"} for path in pages)


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
def test_each_path_answers_its_method_and_refuses_another(path: str, tmp_path: Path) -> None:
    sent = re.sub(r"\{(\w+)\}", r"\1", path)
    (method,) = DOCUMENT["paths"][path]
    other = {"get": "POST", "post": "GET"}[method]
    assert ask(tmp_path / "one", sent, other).status == 405
    assert ask(tmp_path / "two", sent, method.upper()).status in (200, 400, 404)


def test_its_operations_have_names_of_their_own() -> None:
    named = [each.get("operationId") for path in DOCUMENT["paths"].values() for each in path.values()]
    names = [name for name in named if name]
    assert len(names) == len(set(names))


def test_every_query_parameter_is_documented_as_it_is_read() -> None:
    parameters = DOCUMENT["paths"]["/api/v1/models"]["get"]["parameters"]
    assert {each["name"] for each in parameters} == QUERY["listed"].keys()
    ours = {each["name"]: each["schema"] for each in parameters}
    theirs = {each["name"]: each["schema"] for each in published()["paths"]["/models"]["get"]["parameters"]}
    for name in ours.keys() & theirs.keys():
        for bound in ("minimum", "maximum"):
            assert ours[name].get(bound) == theirs[name].get(bound), (name, bound)
        assert sorted(ours[name].get("enum", [])) == sorted(theirs[name].get("enum", [])), name
    assert theirs.keys() - ours.keys() == {"use_rss", "use_rss_chat_links"}


def published_members(schema: Any) -> set[str]:
    """All members of a published request."""
    while "$ref" in schema:
        schema = published()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    parts = [part for kind in ("allOf", "anyOf", "oneOf") for part in schema.get(kind, [])]
    return set(schema.get("properties", {})).union(*map(published_members, parts))


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.name != "completions"], ids=lambda o: o.name)
def test_every_member_that_openrouter_publishes_is_documented(operation: Any) -> None:
    body = published()["paths"][operation.path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert published_members(body) - FIELDS[operation.name].keys() == set()


def test_every_member_that_the_gateway_reads_is_documented_as_read() -> None:
    assert FIELDS.keys() == EXAMPLES.keys() == REQUIRED.keys() == BY_NAME.keys()
    for operation in OPERATIONS:
        fields = FIELDS[operation.name]
        read = {"model", "models", "provider", "user", "session_id", operation.parts_in, *(operation.user_in or ())[:1]}
        assert {name for name in read - {None} if not fields[str(name)].is_read} == set()
        assert set(REQUIRED[operation.name]) <= fields.keys()
    preferences = DOCUMENT["components"]["schemas"]["ProviderPreferences"]["properties"]
    assert preferences.keys() == set(Preferences.__struct_fields__)


@pytest.mark.parametrize(("operation", "name"), EXAMPLE_NAMES)
def test_an_example_is_one_and_is_taken(operation: str, name: str) -> None:
    example = EXAMPLES[operation][name]
    schema = resolved(openapi.request_schema(BY_NAME[operation]))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(example)] == []
    asked = read_asked(json.dumps(example).encode(), BY_NAME[operation])
    read_wishes(asked, 10)
    assert asked.images == (name == "vision")
    assert asked.stream == (name == "streaming")
    assert example.keys() <= FIELDS[operation].keys()


def test_chat_has_an_example_of_each_use() -> None:
    assert {"text", "vision", "JSON mode", "tools", "streaming"} <= EXAMPLES["chat"].keys()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_what_is_no_request_is_told_by_the_schema(operation: Any) -> None:
    check = Draft202012Validator(resolved(openapi.request_schema(operation)))
    assert not check.is_valid({})
    assert not check.is_valid({**EXAMPLES[operation.name]["text"], "stream": "yes"} if operation.can_stream else [])
    assert check.is_valid({**EXAMPLES[operation.name]["text"], "nobody_knows": {"deep": []}})
    Draft202012Validator.check_schema(resolved(openapi.request_schema(operation)))


def test_errors_are_as_the_document_says(tmp_path: Path) -> None:
    for surface in SURFACES:
        for spoken in ALL:
            path = surface.prefix + spoken.path
            schema = resolved(
                DOCUMENT["paths"][path]["post"]["responses"]["400"]["content"]["application/json"]["schema"]
            )
            told = ask(tmp_path / path[1:].replace("/", "-"), path, "POST")
            assert told.status == 400
            assert [error.message for error in Draft202012Validator(schema).iter_errors(told.json)] == []


class Page(HTMLParser):
    """The tags, the attributes and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_tells_every_member_and_loads_nothing(tmp_path: Path) -> None:
    answer = ask(tmp_path, "/docs")
    page = Page(answer.body.decode())
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "form"})
    assert {value for name, value in page.attributes if name in ("src", "href")} == {
        "/openapi.json",
        "#read",
        *(f"#{operation.name}" for operation in OPERATIONS),
    }
    assert not {name for name, _ in page.attributes if name.startswith("on") or name == "style"}
    for fields in FIELDS.values():
        assert all(name in page.text for name in fields)
    for examples in EXAMPLES.values():
        assert all(json.dumps(example, indent=2) in page.text for example in examples.values())


def test_its_policy_allows_its_own_style_alone(tmp_path: Path) -> None:
    policy = ask(tmp_path, "/docs").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert docs.STYLE in ask(tmp_path, "/docs").body.decode()


HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>&amp;'


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        ledger_url="sqlite://",
        config_path=tmp_path / "callmeter.toml",
        providers={"p": Provider("http://127.0.0.1:9")},
        endpoints=(Endpoint(HOSTILE, "p"),),
    )
    found = find("/docs")
    assert found is not None
    asked = Asked(SURFACES[0], {}, b"", NOW_US, f"127.0.0.1:{HOSTILE}")
    page = Page(handler_of(found[0])(Sources(settings), asked).body.decode())
    assert page.tags.isdisjoint({"script", "img"})
    assert page.text.count(HOSTILE) > 2


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_a_foreign_page_may_not_read_it(path: str, tmp_path: Path) -> None:
    assert ask(tmp_path, path, origin="https://evil.example").status == 403
    assert ask(tmp_path, path, host="evil.example").status == 403


@pytest.mark.parametrize(("operation", "name"), EXAMPLE_NAMES)
def test_an_example_arrives_at_the_provider(operation: str, name: str, tmp_path: Path) -> None:
    spoken = next(each for each in ALL if each.name == operation)
    example = EXAMPLES[operation][name]
    answer = spoken.streamed() if example.get("stream") else plain(spoken.answer)

    async def main() -> None:
        async with inside(tmp_path, answer, provider={"kind": spoken.kind}) as live:
            reply = await live.ask(example, "/v1" + spoken.path)
            expected = 404 if name == "routing" else 200  # its price is not known here, and it asks for one
            assert reply.status in (expected, 503), reply.body
            assert len(live.providers["one"].requests) == (reply.status == 200)

    asyncio.run(main())
