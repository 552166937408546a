"""A fast upstream: nginx with a fixed plain answer, and a raw asyncio server of streams with 50 chunks.

python -m tests.benchmarks.upstream FAST PACED [PACE_S]      serves the streams on two ports
"""

import asyncio
import json
import socket
import sys
from pathlib import Path

CHUNKS = 50
PACE_S = 0.005
MODEL = "bench-model"
KINDS = ("plain", "streams", "paced")
_USAGE = {
    "prompt_tokens": 812,
    "completion_tokens": 243,
    "total_tokens": 1055,
    "prompt_tokens_details": {"cached_tokens": 512, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0},
}
_TEXT = (
    "The ledger keeps one line for every call, so the sum of the days is the sum of the range, and the sum of the"
    " range is what the file says. Anything that cannot be priced is listed beside the rest and never guessed. "
)
REQUEST = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You are a careful accountant. Answer in two paragraphs at most."},
        {"role": "user", "content": "Why does a total that is shown twice have to be computed once? " * 6},
    ],
    "temperature": 0.2,
    "max_tokens": 400,
    "user": "user-0042",
}


def answer() -> dict[str, object]:
    """A chat completion of about 1,400 bytes."""
    message = {"role": "assistant", "content": _TEXT * 4, "refusal": None}
    return {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion",
        "created": 1790000000,
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _USAGE,
        "service_tier": "default",
        "system_fingerprint": "fp_34a54ae93c",
    }


def _chunk(delta: dict[str, object], finish: str | None, usage: object = None) -> bytes:
    body = {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion.chunk",
        "created": 1790000000,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_34a54ae93c",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}] if not usage else [],
        "usage": usage,
    }
    event = b"data: %b\n\n" % json.dumps(body, separators=(",", ":")).encode()
    return b"%x\r\n%b\r\n" % (len(event), event)


def _events() -> list[bytes]:
    """What goes out one by one: head and role, the words, the finish, and usage with the end."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    done = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    words = [_chunk({"content": " word"}, None) for _ in range(CHUNKS - 3)]
    first = head + _chunk({"role": "assistant", "content": ""}, None)
    return [first, *words, _chunk({}, "stop"), _chunk({}, None, _USAGE) + done]


_EVENTS = _events()


class _Streams(asyncio.Protocol):
    """Answers every request with the events, one write each: one in every turn of the loop, or one every `pace_s`."""

    def __init__(self, pace_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._pace_s = pace_s
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head, end, body = self._seen.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        self._seen = b""
        self._send(0)

    def _send(self, n: int) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(_EVENTS[n])  # type: ignore[attr-defined]
        if n + 1 == len(_EVENTS):
            return
        if self._pace_s:
            self._loop.call_later(self._pace_s, self._send, n + 1)
        else:
            self._loop.call_soon(self._send, n + 1)


def request(host: str, stream: bool) -> bytes:
    """REQUEST as it goes over a connection that is kept."""
    body = json.dumps({**REQUEST, "stream": True} if stream else REQUEST, separators=(",", ":")).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer sk-bench\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _content_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0


def nginx_conf(directory: Path, upstreams: dict[str, int], proxies: dict[str, int]) -> tuple[str, str]:
    """The configurations of the upstream's nginx and of the proxy that callmeter is held against.

    One worker each; ports by kind of answer.
    """
    body = json.dumps(answer(), separators=(",", ":")).replace("'", "")
    common = """
daemon off; worker_processes 1; pid {d}/{name}.pid; error_log {d}/{name}.log error;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {d}/{name}-body;
 proxy_temp_path {d}/{name}-proxy; fastcgi_temp_path {d}/{name}-f; uwsgi_temp_path {d}/{name}-u;
 scgi_temp_path {d}/{name}-s; client_max_body_size 32m;"""
    plain = (
        common.format(d=directory, name="plain")
        + f" server {{ listen 127.0.0.1:{upstreams['plain']};"
        + f" location / {{ default_type application/json; return 200 '{body}'; }} }} }}"
    )
    proxy = common.format(d=directory, name="proxy") + "".join(
        f" upstream {name} {{ server 127.0.0.1:{port}; keepalive 256; keepalive_requests 100000000; }}"
        f" server {{ listen 127.0.0.1:{listen}; location / {{ proxy_pass http://{name}; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; proxy_buffering off; } }'
        for name, port, listen in ((name, upstreams[name], proxies[name]) for name in KINDS)
    )
    return plain, proxy + " }"


async def _serve(fast: int, paced: int, pace_s: float = PACE_S) -> None:
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda: _Streams(0.0), "127.0.0.1", fast),
        await loop.create_server(lambda: _Streams(pace_s), "127.0.0.1", paced),
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), *map(float, sys.argv[3:])))
