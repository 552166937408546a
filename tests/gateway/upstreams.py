"""Providers that nobody here wrote: llmock (PyPI) and aimock (npm), each told to fail at a rate."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_up import free_port
from tests.gateway.kept import environ_without
from tests.processes import WITHIN_S, until

AIMOCK = "@copilotkit/aimock@1.43.0"
TOOLS = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "callmeter-tools"
FIXTURES = {
    "fixtures": [
        {
            "match": {"toolName": "weather"},
            "response": {"toolCalls": [{"name": "weather", "arguments": {"city": "Ulm"}}]},
        },
        {"match": {"responseFormat": "json_schema"}, "response": {"content": '{"city": "Ulm"}'}},
        {"match": {"inputText": "hello"}, "response": {"embedding": [0.1, 0.2]}},
        {"match": {"userMessage": "hello"}, "response": {"content": "Hello there, how are you?"}},
    ]
}


@contextmanager
def llmock(folder: Path, *options: str) -> Iterator[str]:
    """The address of an llmock, without a path."""
    port = free_port()
    command = [sys.executable, "-m", "llmock.cli", "serve", "--host", "127.0.0.1", "--port", str(port), *options]
    with process(command, folder / f"llmock-{port}.txt", "Uvicorn running", environ_without("LLMOCK_")):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def aimock(folder: Path, **chaos: float) -> Iterator[str]:
    """The address of an aimock, without a path; `chaos` holds its rates of faults."""
    port = free_port()
    (folder / "fixtures.json").write_text(json.dumps(FIXTURES))
    settings: dict[str, Any] = {"llm": {"fixtures": "fixtures.json", "logLevel": "warn", "chaos": chaos}}
    (folder / "aimock.json").write_text(json.dumps(settings))
    command = [str(installed_aimock()), "-c", "aimock.json", "-p", str(port)]
    with process(command, folder / f"aimock-{port}.txt", "listening", dict(os.environ)):
        yield f"http://127.0.0.1:{port}"


def installed_aimock() -> Path:
    """Its program, installed once per version outside the checkout; skips the test where npm cannot be had."""
    folder = TOOLS / AIMOCK.rpartition("/")[2]
    program = folder / "node_modules" / ".bin" / "aimock"
    if program.exists():
        return program
    if shutil.which("npm") is None:
        pytest.skip("npm is not here: install Node.js, or run .ci/run")
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(unfinished), AIMOCK]
    unfinished.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        shutil.rmtree(unfinished)
        pytest.skip(f"{AIMOCK} cannot be installed: {done.stderr.strip()[-300:]}")
    try:
        unfinished.rename(folder)
    except OSError:  # another test was faster
        shutil.rmtree(unfinished)
    return program


@contextmanager
def process(command: list[str], told: Path, ready: str, environ: dict[str, str]) -> Iterator[None]:
    """A server that runs once its output says so."""
    with told.open("w") as output:
        started = subprocess.Popen(command, cwd=told.parent, env=environ, stdout=output, stderr=subprocess.STDOUT)
        try:
            until(lambda: ready in told.read_text(), told.read_text)
            yield
        finally:
            started.terminate()
            started.wait(WITHIN_S)
