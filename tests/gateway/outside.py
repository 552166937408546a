"""A gateway as a process of its own, without ingest, and raw requests to it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import Running, running, until

SETTINGS = """
[settings]
limits.drain_s = 1
[providers.one]
base_url = "http://127.0.0.1:{port}/v1"
"""


@contextmanager
def gateway(folder: Path, provider_port: int) -> Iterator[tuple[Running, int]]:
    """The process and its port; its data is in `folder`/data, its only provider on a port of this machine."""
    with starting(folder, provider_port) as process:
        yield process, port_of(process)


@contextmanager
def starting(folder: Path, provider_port: int, data: Path | None = None) -> Iterator[Running]:
    """The process, which may not listen yet."""
    (folder / "callmeter.toml").write_text(SETTINGS.format(port=provider_port))
    data_dir = ("--data-dir", str(data)) if data else ()
    with running(folder, *data_dir, "gateway", "--port", "0", "--no-ingest") as process:
        yield process


def port_of(process: Running) -> int:
    """The port that the process listens on, once it does."""

    def told() -> str | None:
        assert process.process.poll() is None, process.err.read_text()
        return next((line for line in process.err.read_text().splitlines() if line.startswith("gateway: http")), None)

    return int(until(told, process.err.read_text).rsplit(":", 1)[1].removesuffix("/v1"))


def request(body: object) -> bytes:
    """One call in HTTP/1.1."""
    data = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data
