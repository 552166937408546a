"""Loopback only, and only by a loopback name."""

import asyncio
from typing import Any

import pytest

from collector.core.errors import SettingsError, UsageError
from dashboard.access import LoopbackOnly, check_host
from dashboard.serve import listen

OK = [{"type": "http.response.start", "status": 200, "headers": []}, {"type": "http.response.body", "body": b"in"}]


async def inside(scope: Any, receive: Any, send: Any) -> None:
    for message in OK:
        await send(message)


def asked(kind: str = "http", *hosts: bytes) -> list[dict[str, Any]]:
    """What a request with these Host headers is answered."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": kind, "headers": [(b"host", host) for host in hosts]}
    asyncio.run(LoopbackOnly(inside)(scope, receive, send))
    return sent


@pytest.mark.parametrize("host", [b"127.0.0.1:8501", b"localhost", b"LOCALHOST:1", b"[::1]:8501"])
def test_a_loopback_name_is_let_in_with_a_policy_that_forbids_requests_elsewhere(host: bytes) -> None:
    start = asked("http", host)[0]
    assert start["status"] == 200
    assert dict(start["headers"])[b"content-security-policy"].startswith(b"default-src 'self'; ")


@pytest.mark.parametrize(
    "hosts", [(b"evil.example",), (), (b"localhost", b"evil.example"), (b"127.0.0.1.evil.example",)]
)
def test_any_other_name_is_turned_away(hosts: tuple[bytes, ...]) -> None:
    assert asked("http", *hosts)[0]["status"] == 421
    assert asked("websocket", *hosts) == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
def test_it_refuses_to_start_open_to_the_network(host: str) -> None:
    with pytest.raises(SettingsError, match="open to the network"):
        check_host(host)


def test_loopback_is_the_place_to_be() -> None:
    assert [check_host(host) for host in ("localhost", "127.0.0.1", "127.0.0.9", "::1")] == [
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.9",
        "::1",
    ]


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} at 127.0.0.1 is in use: choose another one with --port"):
            listen("127.0.0.1", port)
