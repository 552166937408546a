"""A provider of a test's own on a real socket, for tests of real processes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class Answering(BaseHTTPRequestHandler):
    """Says nothing of its requests; `port` is where it is served."""

    port: int

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


H = TypeVar("H", bound=Answering)


@contextmanager
def serving(kind: type[H], **values: object) -> Iterator[type[H]]:
    """A handler with attributes of its own, served for as long as the block lasts."""
    handler = type("Here", (kind,), values)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handler.port = server.server_port
        yield handler
        server.shutdown()
