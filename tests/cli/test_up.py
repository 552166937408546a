"""`callmeter up` and `callmeter gateway`: real processes, a real call, every ending clean."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from collector.core.errors import LedgerError
from collector.ledger.engines import open_ledger
from tests.processes import Running, processes, running, until

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4-turbo",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500},
}


class Provider(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    """Where calls to /v1 go: a provider on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"CALLMETER_OPENAI_URL": f"http://127.0.0.1:{server.server_port}/v1"}
        server.shutdown()


def call(gateway: str) -> None:
    body = {"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "hi"}]}
    headers = {"content-type": "application/json", "authorization": "Bearer sk-test"}
    with urlopen(Request(f"{gateway}/chat/completions", json.dumps(body).encode(), headers), timeout=30) as answer:
        assert answer.status == 200


def costs(folder: Path) -> list[int]:
    try:
        engine = open_ledger(f"sqlite:///{folder / 'data' / 'callmeter.db'}", read_only=True)
    except LedgerError:
        return []
    with engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT cost_picousd FROM v_calls")]


def part(started: Running, name: str) -> int:
    return until(lambda: next((pid for pid, line in started.children().items() if f" {name} " in f"{line} "), None))


def test_up_records_a_call_restarts_what_dies_and_ends_cleanly(tmp_path: Path, environ: dict[str, str]) -> None:
    with running(tmp_path, "up", "--port", "0", "--dashboard-port", "0", environ=environ) as up:
        addresses = up.addresses("gateway", "dashboard")
        assert urlopen(addresses["dashboard"], timeout=30).status == 200
        call(addresses["gateway"])
        until(lambda: costs(tmp_path) == [25_000_000_000])
        gateway = part(up, "gateway")
        os.kill(gateway, signal.SIGKILL)
        until(lambda: part(up, "gateway") != gateway)
        until(lambda: _answers(addresses["gateway"]))
        call(addresses["gateway"])
        until(lambda: costs(tmp_path) == [25_000_000_000] * 2)
        assert up.end(signal.SIGINT) == 0
    assert "gateway ended (signal 9); it is started again in 0.5 s" in up.err.read_text()


def test_gateway_alone_ingests_and_leaves_no_process_when_it_is_killed(tmp_path: Path, environ: dict[str, str]) -> None:
    with running(tmp_path, "gateway", "--port", "0", environ=environ) as gateway:
        call(gateway.addresses("gateway")["gateway"])
        until(lambda: costs(tmp_path) == [25_000_000_000])
        parts = gateway.children()
        assert len(parts) == 2
        gateway.process.kill()
        gateway.process.wait(30)
    until(lambda: not parts.keys() & {pid for pid, _, _ in processes()})


def test_without_ingest_the_gateway_leaves_the_ledger_to_collect(tmp_path: Path, environ: dict[str, str]) -> None:
    with running(tmp_path, "gateway", "--port", str(free_port()), "--no-ingest", environ=environ) as gateway:
        address = until(lambda: next((w for w in gateway.err.read_text().split() if w.startswith("http://")), None))
        call(address)
        gateway.end(signal.SIGTERM)
    assert not (tmp_path / "data" / "callmeter.db").exists()
    with running(tmp_path, "collect") as collect:
        assert collect.process.wait(60) == 0
    assert costs(tmp_path) == [25_000_000_000]


@pytest.mark.parametrize("command", ["up", "gateway", "dashboard"])
def test_a_port_in_use_is_one_clear_line(command: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with running(tmp_path, command, "--port", str(port)) as started:
            assert started.process.wait(60) in (1, 2)
    lines = started.err.read_text().splitlines()
    assert [line for line in lines if line.startswith("callmeter: ")] == lines[1:]
    assert f"port {port}" in lines[1]
    assert not (tmp_path / "data").exists()


def test_an_address_beyond_this_machine_is_refused_with_2(tmp_path: Path) -> None:
    with running(tmp_path, "gateway", "--host", "0.0.0.0", "--port", "0") as gateway:
        assert gateway.process.wait(60) == 2
    assert "not a loopback address" in gateway.err.read_text()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(gateway: str) -> bool:
    host, port = gateway.removeprefix("http://").split("/")[0].split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
