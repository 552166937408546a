"""Schemathesis, with OpenRouter's own document, on every path of it that is served: no 5xx, nothing undocumented.

A stream is left to the other tests: the document describes an event's data as an object, which no event's text is.
"""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.intake.gateway.operations import BY_PATH, SURFACES
from collector.intake.gateway.pages.table import PAGES, find
from tests.gateway.outside import port_of
from tests.gateway.published import document
from tests.gateway.upstreams import llmock
from tests.processes import running

PREFIX = SURFACES[1].prefix
CHECKS = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"
SETTINGS = """
[providers.openai]
base_url = "{llmock}/v1"
[providers.anthropic]
kind = "anthropic"
base_url = "{llmock}/anthropic/v1"
[[endpoints]]
model = "openai/gpt-4"
provider = "openai"
operations = ["chat", "embeddings", "responses"]
"""
RUNS = {
    "read": ["--phases", "examples,coverage,fuzzing", "--max-examples", "4"],
    "called": ["--phases", "examples,fuzzing", "--mode", "positive", "--max-examples", "2"],
}


def served() -> dict[str, set[str]]:
    """The document's paths that are served, those that are read and those that are called."""
    published = document()["paths"].keys()
    return {
        "read": {page.path.removeprefix(PREFIX) for page in PAGES if page.path.startswith(PREFIX)} & published,
        "called": {path.removeprefix(PREFIX) for path in BY_PATH if path.startswith(PREFIX)} & published,
    }


def unstreamed() -> dict[str, Any]:
    """The document, in which no request asks for a stream."""
    found = copy.deepcopy(document())
    for schema in found["components"]["schemas"].values():
        if "stream" in schema.get("properties", {}):
            schema["properties"]["stream"] = {"type": "boolean", "enum": [False]}
            schema.pop("example", None)
    for path in found["paths"].values():
        for content in path.get("post", {}).get("requestBody", {}).get("content", {}).values():
            content.pop("example", None)
            content.pop("examples", None)
    return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("schemathesis")
    (folder / "openrouter.json").write_text(json.dumps(unstreamed()))
    with llmock(folder) as upstream:
        (folder / "callmeter.toml").write_text(SETTINGS.format(llmock=upstream))
        with running(folder, "gateway", "--port", "0", "--no-ingest") as process:
            yield folder, f"http://127.0.0.1:{port_of(process)}{PREFIX}"


@pytest.mark.parametrize("kind", RUNS)
def test_what_openrouter_publishes_is_what_is_served(kind: str, gateway: tuple[Path, str]) -> None:
    folder, url = gateway
    paths = [option for path in sorted(served()[kind]) for option in ("--include-path", path)]
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openrouter.json", "--url", url, *paths, *RUNS[kind]]
    command += ["--checks", CHECKS, "--workers", "1", "--seed", "1", "--generation-deterministic", "--no-color"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"Tested: {len(served()[kind])}" in done.stdout


def test_the_paths_are_those_that_are_meant() -> None:
    found = served()
    assert found["called"] == {"/chat/completions", "/embeddings", "/responses", "/messages"}
    assert found["read"] >= {
        "/models",
        "/models/count",
        "/models/{author}/{slug}/endpoints",
        "/model/{author}/{slug}",
        "/generation",
    }


def test_no_published_path_that_answers_is_left_out() -> None:
    """`/models/user` alone is read as the model of that name."""
    found = {path for path in document()["paths"] if answers(PREFIX + re.sub(r"\{\w+\}", "x", path))}
    assert found - {"/models/user"} == served()["read"] | served()["called"]


def answers(path: str) -> bool:
    return path in BY_PATH or find(path) is not None
