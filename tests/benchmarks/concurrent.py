"""Many streams at once through one worker, each at a provider's pace: the gaps between chunks as clients see them.

    python -m tests.benchmarks.concurrent [--streams 500] [--seconds 10]

Every connection asks for one stream of 50 chunks after the other, 20 chunks a second, under fsync = "always". A gap is
the time between two chunks of a stream at its client; at the provider it is 50 ms. Also measured: without a gateway.
"""

import argparse
import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import upstream
from tests.benchmarks.gateway import gateway_at
from tests.benchmarks.servers import free_ports, python, rss_mib, running
from tests.benchmarks.table import Result, show

PACE_S = 0.05
GAP_TARGET_MS = 250.0
RSS_TARGET_MIB = 250.0
_END = b"0\r\n\r\n"


class Seen(NamedTuple):
    """Gaps in milliseconds, sorted, and how many streams came to their end."""

    gaps: list[float]
    streams: int

    def gap_ms(self, share: float) -> float:
        return self.gaps[min(len(self.gaps) - 1, int(len(self.gaps) * share))]


class _Reader(asyncio.Protocol):
    """Asks again as soon as a stream has ended, until `deadline`."""

    def __init__(self, host: str, deadline: float, gaps: list[float]) -> None:
        self._request = upstream.request(host, stream=True)
        self._deadline = deadline
        self._gaps = gaps
        self._last: float | None = None
        self.streams = 0
        self.over: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if self._last is None and not data.startswith(b"HTTP/1.1 200"):
            self._end(repr(data))
            return
        if self._last is not None:
            self._gaps.append((now - self._last) * 1e3)
        self._gaps += [0.0] * (data.count(b"data: {") - 1)  # those that came in one piece
        self._last = now
        if data.endswith(_END):
            self._ask_again()

    def connection_lost(self, error: Exception | None) -> None:
        self._end("a stream broke off")

    def _ask_again(self) -> None:
        self.streams += 1
        self._last = None
        if time.perf_counter() < self._deadline:
            self._transport.write(self._request)  # type: ignore[attr-defined]
        else:
            self._end(None)

    def _end(self, problem: str | None) -> None:
        if not self.over.done():
            self.over.set_result(problem)
        self._transport.close()


async def _read(port: int, streams: int, seconds: float) -> Seen:
    loop = asyncio.get_running_loop()
    gaps: list[float] = []
    readers: list[_Reader] = []
    deadline = time.perf_counter() + seconds
    for _ in range(streams):
        _, reader = await loop.create_connection(
            lambda: _Reader(f"127.0.0.1:{port}", deadline, gaps), "127.0.0.1", port
        )
        readers.append(reader)
        await asyncio.sleep(upstream.CHUNKS * PACE_S / streams)  # so that they do not all begin and end together
    problems = list(filter(None, await asyncio.gather(*(reader.over for reader in readers))))
    if problems:
        raise SystemExit(f"{len(problems)} of {streams} connections failed, the first with {problems[0]}")
    return Seen(sorted(gaps), sum(reader.streams for reader in readers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callmeter-bench-")))
        fast, paced, own = free_ports(3)
        command = python("-m", "tests.benchmarks.upstream", str(fast), str(paced), str(PACE_S))
        stack.enter_context(running(command, paced, directory / "streams.out"))
        pid = stack.enter_context(gateway_at(own, directory / "home", "always", paced))
        direct, seen = (asyncio.run(_read(port, options.streams, options.seconds)) for port in (paced, own))
        rss = rss_mib(pid)
    show(_results(options.streams, direct, seen, rss))


def _results(streams: int, direct: Seen, seen: Seen, rss: float) -> list[Result]:
    name = f"{streams} streams at {1 / PACE_S:g} chunks/s"
    rates = f"{seen.streams} streams whole; direct {direct.gap_ms(0.99):.0f} ms, most {seen.gaps[-1]:.0f} ms"
    return [
        Result(f"{name}: p50 gap, ms", f"direct {direct.gap_ms(0.5):.0f} ms", seen.gap_ms(0.5)),
        Result(f"{name}: p99 gap, ms", rates, seen.gap_ms(0.99), GAP_TARGET_MS, at_most=True),
        Result(f"{name}: memory", "MiB at its peak", rss, RSS_TARGET_MIB, at_most=True),
    ]


if __name__ == "__main__":
    main()
