"""What the published OpenAPI documents give as examples is read without a complaint."""

import gzip
import json
from typing import Any

import pytest
import yaml

from collector.core.errors import SourceError
from collector.core.told import ProviderSum
from collector.intake.pulls import openai, openrouter
from collector.intake.pulls.asking import Asker, Bounds
from collector.intake.pulls.listed import endpoints, models
from collector.intake.pulls.sums import Days, Reading
from tests.answering import Answer, Reply, answering
from tests.shared_data import shared

DAYS = Days(20_000, 20_001)
READING = Reading("s", "p", 0)


@pytest.fixture(scope="module")
def openrouter_document() -> Any:
    with gzip.open(shared("openrouter_openapi_2026-08.yaml.gz")) as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@pytest.fixture(scope="module")
def openai_document() -> Any:
    with gzip.open(shared("openai_openapi_2.3.0.json.gz")) as file:
        return json.load(file)


def asked_of(answer: Answer, ask: Any) -> Any:
    with answering(answer) as server, Asker(server.url, {}, Bounds(tries=1)) as asker:
        return ask(asker)


def example(document: Any, path: str) -> Any:
    return document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["example"]


@pytest.mark.parametrize(
    ("path", "ask"),
    [
        ("/activity", lambda asker: list(openrouter.activity(asker, READING, DAYS))),
        ("/credits", lambda asker: list(openrouter.credits(asker, READING, DAYS))),
        ("/key", lambda asker: list(openrouter.key_usage(asker, READING, DAYS))),
        ("/generation", lambda asker: [openrouter.generation(asker, "p", "gen-1")]),
        ("/models", lambda asker: models(asker, "p")),
        ("/models/{author}/{slug}/endpoints", lambda asker: [endpoints(asker, "p", "openai/gpt-4")]),
    ],
)
def test_openrouters_examples_are_read(path: str, ask: Any, openrouter_document: Any) -> None:
    assert asked_of(lambda _: Reply(example(openrouter_document, path)), ask)


def test_openrouters_errors_are_errors(openrouter_document: Any) -> None:
    told = openrouter_document["paths"]["/activity"]["get"]["responses"]
    for status in ("400", "401", "403", "404", "500"):
        body = told[status]["content"]["application/json"].get("example", {})
        with pytest.raises(SourceError, match=f"/activity answered {status}"):
            asked_of(
                lambda _, b=body, s=status: Reply(b, int(s)), lambda a: list(openrouter.activity(a, READING, DAYS))
            )


def openai_example(document: Any, path: str) -> Any:
    examples = document["paths"][path]["get"]["x-oaiMeta"]["examples"]
    return json.loads(examples["response"])


@pytest.mark.parametrize("kind", openai.USAGE)
def test_openais_usage_examples_are_read(kind: str, openai_document: Any) -> None:
    body = openai_example(openai_document, f"/organization/usage/{kind}")
    page = {**body, "has_more": False, "next_page": None}

    def answer(asked: Any) -> Reply:
        return Reply(page if asked.path.endswith(kind) else {**page, "data": []})

    told: list[ProviderSum] = asked_of(answer, lambda asker: list(openai.usage(asker, READING, DAYS)))
    assert told
    assert all(each.requests is not None for each in told)


def test_openais_costs_example_is_read(openai_document: Any) -> None:
    body = {**openai_example(openai_document, "/organization/costs"), "has_more": False}
    (told,) = asked_of(lambda _: Reply(body), lambda asker: list(openai.costs(asker, READING, DAYS)))
    assert told.cost == 60_000_000_000
