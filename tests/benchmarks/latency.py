"""The median latency of one connection, measured with a blocking socket, which adds the least of its own."""

import socket
import statistics
import time
from urllib.parse import urlsplit

from tests.benchmarks.upstream import request


def median_us(url: str, requests: int, pause_s: float) -> float:
    """The median of plain requests on one connection, `pause_s` apart, in microseconds."""
    parts = urlsplit(url)
    asked = request(parts.netloc, stream=False)
    took = []
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(requests):
            time.sleep(pause_s)
            took.append(_one(connection, asked))
    return statistics.median(took) * 1e6


def _one(connection: socket.socket, request: bytes) -> float:
    began = time.perf_counter()
    connection.sendall(request)
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += connection.recv(65536)
    head, _, body = seen.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"{head!r} {body!r}")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return time.perf_counter() - began
