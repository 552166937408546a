"""The gateway, logging on, one worker, against one-worker nginx proxy_pass to the same upstream, in one run.

    python -m tests.benchmarks.gateway [--rounds 3] [--seconds 3] [--only interval|always] [--ingest]

JSON at 16 connections, streams of 50 chunks at 16, and the added median latency at one connection; medians of rounds in
which the contestants take turns. With --ingest the ledger is kept up to date meanwhile, by a process of its own.
"""

import argparse
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import upstream, wrk
from tests.benchmarks.servers import free_ports, nginx, python, rss_mib, running
from tests.benchmarks.table import Result, show

MODES = ("interval", "always")
JSON_TARGET = {"interval": 0.08, "always": 0.06}
STREAM_TARGET = 0.7
ADDED_TARGET = {"interval": 4.0, "always": 6.0}
RSS_TARGET_MIB = 120.0
PATH = "/v1/chat/completions"

_SETTINGS = """
[settings]
fsync = "{mode}"
[providers.plain]
base_url = "http://127.0.0.1:{plain}/v1"
[providers.streams]
base_url = "http://127.0.0.1:{streams}/v1"
[[endpoints]]
model = "{model}"
provider = "{provider}"
input_usd_per_m = 10
output_usd_per_m = 30
"""


class Contestant(NamedTuple):
    """Where it takes plain requests, and where streams."""

    plain: str
    streams: str
    pids: tuple[int, ...] = ()


def main() -> None:
    options = _options()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callmeter-bench-")))
        contestants = _start(stack, directory, options)
        figures = _measure(contestants, directory, options)
        rss = {name: max(map(rss_mib, c.pids)) for name, c in contestants.items() if c.pids}
    show(_results(figures, rss))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", choices=MODES)
    parser.add_argument("--ingest", action="store_true")
    return parser.parse_args()


def _start(stack: ExitStack, directory: Path, options: argparse.Namespace) -> dict[str, Contestant]:
    plain, streams, proxy, gateways = _ports()
    upstream_conf, proxy_conf = upstream.nginx_conf(directory, plain, streams, proxy)
    stack.enter_context(nginx(upstream_conf, directory / "plain.conf", plain))
    command = python("-m", "tests.benchmarks.upstream", str(streams))
    stack.enter_context(running(command, streams, directory / "streams.out"))
    stack.enter_context(nginx(proxy_conf, directory / "proxy.conf", proxy))
    found = {"direct": _at(plain, streams), "nginx": _at(proxy, proxy + 1)}
    for mode in [options.only] if options.only else MODES:
        found[mode] = _gateway(stack, directory, mode, (plain, streams), gateways, ingest=options.ingest)
    return found


def _ports() -> tuple[int, int, int, list[int]]:
    while True:
        plain, streams, proxy, *gateways = free_ports(7)
        if proxy + 1 not in (plain, streams, *gateways):
            return plain, streams, proxy, gateways


def _at(plain: int, streams: int, *pids: int) -> Contestant:
    return Contestant(f"http://127.0.0.1:{plain}{PATH}", f"http://127.0.0.1:{streams}{PATH}", pids)


def _gateway(
    stack: ExitStack, directory: Path, mode: str, upstreams: tuple[int, int], ports: list[int], *, ingest: bool
) -> Contestant:
    """Two gateways, one for plain answers and one for streams: the same model, each with its own upstream."""
    started = [
        _one_gateway(stack, directory, mode, provider, upstreams, ports.pop(), ingest=ingest)
        for provider in ("plain", "streams")
    ]
    (plain, plain_pid), (streams, streams_pid) = started
    return _at(plain, streams, plain_pid, streams_pid)


def _one_gateway(
    stack: ExitStack, directory: Path, mode: str, provider: str, upstreams: tuple[int, int], port: int, *, ingest: bool
) -> tuple[int, int]:
    home = directory / f"{mode}-{provider}"
    home.mkdir()
    plain, streams = upstreams
    values = {"mode": mode, "plain": plain, "streams": streams, "model": upstream.MODEL, "provider": provider}
    (home / "callmeter.toml").write_text(_SETTINGS.format(**values))
    command = python("-m", "collector.cli", "--data-dir", home, "--config", home / "callmeter.toml")
    command += ["gateway", "--port", str(port), *([] if ingest else ["--no-ingest"])]
    return port, stack.enter_context(running(command, port, home / "gateway.out"))


def _measure(
    contestants: dict[str, Contestant], directory: Path, options: argparse.Namespace
) -> dict[tuple[str, str], float]:
    plain = wrk.script(directory / "plain.lua", stream=False)
    streams = wrk.script(directory / "streams.lua", stream=True)
    seen: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        for name, at in contestants.items():
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            figures = {
                "json": wrk.load(at.plain, plain, 16, options.seconds).rate,
                "stream": wrk.load(at.streams, streams, 16, options.seconds).rate,
                "alone_us": wrk.load(at.plain, plain, 1, options.seconds / 2).median_us,
            }
            for kind, figure in figures.items():
                seen.setdefault((name, kind), []).append(figure)
    return {key: statistics.median(values) for key, values in seen.items()}


def _results(figures: dict[tuple[str, str], float], rss: dict[str, float]) -> list[Result]:
    results = []
    direct_us, nginx_us = figures["direct", "alone_us"], figures["nginx", "alone_us"]
    for mode in rss:
        json, nginx_json = figures[mode, "json"], figures["nginx", "json"]
        stream, nginx_stream = figures[mode, "stream"], figures["nginx", "stream"]
        added, nginx_added = figures[mode, "alone_us"] - direct_us, nginx_us - direct_us
        results += [
            Result(
                f"JSON, 16 connections, {mode}",
                f"{json:,.0f}/s of nginx {nginx_json:,.0f}/s",
                json / nginx_json,
                JSON_TARGET[mode],
            ),
            Result(
                f"streams of {upstream.CHUNKS} chunks, 16 connections, {mode}",
                f"{stream:,.0f}/s of nginx {nginx_stream:,.0f}/s",
                stream / nginx_stream,
                STREAM_TARGET,
            ),
            Result(
                f"added median, 1 connection, {mode}",
                f"{added:,.0f} us of nginx {nginx_added:,.0f} us",
                added / nginx_added,
                ADDED_TARGET[mode],
                at_most=True,
            ),
            Result(f"memory of a worker, {mode}", "MiB at its peak", rss[mode], RSS_TARGET_MIB, at_most=True),
        ]
    return results


if __name__ == "__main__":
    main()
