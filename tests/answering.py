"""A server on loopback that answers as a test says, and remembers what it was asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes

    def param(self, name: str) -> str:
        return dict(self.params).get(name, "")


@dataclass
class Reply:
    """What is answered; `body` is JSON unless it is bytes. `drip_s` waits between the body's bytes."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    drip_s: float = 0.0


Answer = Callable[[Asked], Reply]


@dataclass
class Server:
    """A running server: its address and what it was asked."""

    url: str
    asked: list[Asked]


@contextmanager
def answering(answer: Answer) -> Iterator[Server]:
    """A server for as long as the block lasts."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, parts.path, parse_qsl(parts.query), headers, body)
            asked.append(request)
            self.reply(answer(request))

        do_GET = do_POST = handle_any

        def reply(self, reply: Reply) -> None:
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            time.sleep(reply.wait_s)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                for piece in [body] if not reply.drip_s else [body[at : at + 1] for at in range(len(body))]:
                    self.wfile.write(piece)
                    self.wfile.flush()
                    time.sleep(reply.drip_s)
            except OSError:
                self.close_connection = True  # whoever asked has gone

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_port}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_turn(*replies: Reply) -> Answer:
    """The replies one after the other, the last one for ever."""
    left = list(replies)
    return lambda asked: left.pop(0) if len(left) > 1 else left[0]
