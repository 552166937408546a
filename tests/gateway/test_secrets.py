"""No key is in any file, output or answer, whatever went wrong: real processes, and a provider that echoes its keys."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.gateway.inside import ANSWER
from tests.gateway.serving import Answering, serving
from tests.processes import WITHIN_S, running, until

FILE_KEY = "0f8fad5bd9cb469fa16570867728950e"  # they look like no key, so that no pattern hides them
ENV_KEY = "b7e23ec29af22b0b4e41da31e868d572"
CALLERS_KEY = "3c6e0b8a9c15224a8228b9a98ca1531d"
WRONG_KEY = "9b74c9897bac770ffc029102a200c5de"
SETTINGS = """
[settings]
first_byte_timeout_s = 0.3
[providers.filed]
base_url = "http://127.0.0.1:{port}/v1"
api_key_file = "{key_file}"
[providers.exported]
base_url = "http://127.0.0.1:{port}/v1"
api_key_env = "SECRETS_TEST_KEY"
[providers.passing]
base_url = "http://127.0.0.1:{port}/v1"
pass_key = true
[providers.gone]
base_url = "http://127.0.0.1:9/v1"
api_key_file = "{key_file}"
[[endpoints]]
model = "m"
provider = "filed"
input_usd_per_m = 1
output_usd_per_m = 2
[[endpoints]]
model = "m"
provider = "exported"
[[endpoints]]
model = "passing"
provider = "passing"
[[endpoints]]
model = "gone"
provider = "gone"
[[budgets]]
scope = "app:poor"
period = "month"
limit_usd = 0.000001
"""
STREAMED = ("stream", "late", "cut")
WAYS = ("ok", "400", "401", "403", "429", "500", "inside", *STREAMED, "garbage", "hang", "hangup")


class Echoing(Answering):
    """Fails in the way that the `user` says, and names the key and the address that it was asked with."""

    seen: set[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers.get("authorization", "").removeprefix("Bearer ")
        self.seen.add(key)
        words = f"wrong key {key} at {self.headers['host']}"
        error = {"error": dict.fromkeys(("message", "type", "code", "param"), words)}
        self._answer(body["user"], error)
        self.close_connection = True

    def _answer(self, way: str, error: object) -> None:
        part = {"id": "x", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
        first = b"data: " + json.dumps(part).encode() + b"\n\n"
        if way in STREAMED:
            told = b"data: " + json.dumps(error).encode() + b"\n\n"
            events = {"stream": told, "late": first + told, "cut": first + told[:-9]}
            self.answer(200, events[way], "text/event-stream")
        elif way == "garbage":
            self.wfile.write(json.dumps(error).encode())
        elif way == "hang":
            time.sleep(0.5)
        elif way != "hangup":
            status = int(way) if way.isdigit() else 200
            self.answer(status, json.dumps(ANSWER if way == "ok" else error).encode())


@pytest.fixture
def provider() -> Iterator[type[Echoing]]:
    with serving(Echoing, seen=set()) as handler:
        yield handler


def command(folder: Path, *words: str) -> str:
    """All that a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli", *words],
        cwd=folder, env={**os.environ, "SECRETS_TEST_KEY": ENV_KEY}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def ask(port: int, key: str, path: str = "/v1/chat/completions", **members: object) -> str:
    """The head and the body of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)
    body = json.dumps({"model": "m", "messages": [], **members})
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "cookie": f"k={WRONG_KEY}"}
    with suppress(HTTPException, ConnectionError):
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return f"{answer.status} {answer.getheaders()} {answer.read().decode()}"
    return ""


def test_no_key_is_anywhere_after_everything_that_can_go_wrong(tmp_path: Path, provider: type[Echoing]) -> None:
    key_file, folder = tmp_path / "key", tmp_path / "here"
    folder.mkdir()
    key_file.write_text(FILE_KEY)
    key_file.chmod(0o600)
    (folder / "callmeter.toml").write_text(SETTINGS.format(port=provider.port, key_file=key_file))  # type: ignore[attr-defined]
    told = []
    with running(folder, "gateway", "--port", "0", environ={"SECRETS_TEST_KEY": ENV_KEY}) as process:
        port = int(process.addresses("gateway")["gateway"].rsplit(":", 1)[1].removesuffix("/v1"))
        for path in ("/v1/chat/completions", "/api/v1/chat/completions"):
            for way in WAYS:
                streams = way in STREAMED
                for order in (["filed"], ["exported", "filed"]):
                    wishes = {"order": order, "allow_fallbacks": len(order) > 1}
                    told.append(ask(port, CALLERS_KEY, path, user=way, stream=streams, provider=wishes))
                told.append(ask(port, CALLERS_KEY, path, user=way, stream=streams, model="passing"))
        told.append(ask(port, CALLERS_KEY, f"/v1/chat/completions?api_key={WRONG_KEY}&key={WRONG_KEY}", user="ok"))
        told.append(ask(port, CALLERS_KEY, model="gone"))
        made = command(folder, "keys", "create", "--app", "poor", "--rpm", "2")
        key = next(word for word in made.split() if word.startswith("sk-cm-"))
        until(lambda: ask(port, WRONG_KEY, user="ok").startswith("401") or None)
        told += [ask(port, secret, user="ok") for secret in (key, key, key, WRONG_KEY, key[:-1], key + "x")]
        until(lambda: "429" in ask(port, key, user="ok")[:3] or None)
        for page in ("key", "models", "generation?id=x"):
            connection = HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)
            connection.request("GET", f"/api/v1/{page}", headers={"authorization": f"Bearer {key}"})
            told.append(connection.getresponse().read().decode())
        until(lambda: (folder / "data" / "callmeter.db").exists() or None)
        assert process.end() == 0
    assert {FILE_KEY, ENV_KEY, CALLERS_KEY} <= provider.seen
    assert key not in provider.seen
    for words in (["settings"], ["keys", "list"], ["check"], ["collect"], ["jobs"], ["keys", "disable", "k-none"]):
        told.append(command(folder, *words))
    key_file.chmod(0o644)
    told.append(command(folder, "gateway", "--port", "0"))
    assert "chmod 600" in told[-1]
    secrets = (FILE_KEY, ENV_KEY, CALLERS_KEY, WRONG_KEY, key, key.removeprefix("sk-cm-"))
    assert len(told) > 80
    for text in told:
        assert [secret for secret in secrets if secret in text] == [], text[:3000]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"state.db", "callmeter.db", "stderr.txt", "stdout.txt", "secret"}
    for path in files:
        data = path.read_bytes()
        assert [secret for secret in secrets if secret.encode() in data] == [], path
        assert f"127.0.0.1:{provider.port}".encode() not in data or path.name == "callmeter.toml"  # type: ignore[attr-defined]
