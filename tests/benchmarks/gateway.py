"""The gateway, logging on, one worker, against one-worker nginx proxy_pass to the same upstream, in one run.

    python -m tests.benchmarks.gateway [--rounds 3] [--seconds 3] [--only interval|always] [--ingest]

JSON at 16 connections, streams of 50 chunks at 16, and the added median latency at one connection, on which a request
goes out a millisecond after the last answer (and, not judged, at once: then nothing on the way ever sleeps). Every
call is routed: two endpoints of the model, drawn by price. Medians of rounds in which the contestants take turns.
With --ingest a process beside the gateway keeps the ledger up to date. Where aiohttp is installed
(`pip install -e '.[bench]'`) a bare relay of uvicorn and aiohttp runs too: it plans, prices and records nothing, and
shows what a relay in Python costs by itself on this machine.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import upstream, wrk
from tests.benchmarks.latency import median_us
from tests.benchmarks.servers import free_ports, nginx, python, rss_mib, running
from tests.benchmarks.table import Result, show

MODES = ("interval", "always")
JSON_TARGET = {"interval": 0.08, "always": 0.06}
STREAM_TARGET = 0.7
ADDED_TARGET = {"interval": 4.0, "always": 6.0}
RSS_TARGET_MIB = 120.0
PATH = "/v1/chat/completions"
_NAMES = {"nginx": "nginx", "bare": "the bare relay's"}
Figures = dict[tuple[str, str], float]  # by contestant and what was measured

_SETTINGS = """
[settings]
fsync = "{mode}"
[providers.bench]
base_url = "http://127.0.0.1:{port}/v1"
[providers.dearer]
base_url = "http://127.0.0.1:{port}/v1"
[[endpoints]]
model = "{model}"
provider = "bench"
input_usd_per_m = 10
output_usd_per_m = 30
[[endpoints]]
model = "{model}"
provider = "dearer"
input_usd_per_m = 11
output_usd_per_m = 30
"""


class Contestant(NamedTuple):
    """Where it takes the requests for each kind of answer."""

    urls: dict[str, str]
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
    ports = free_ports(15)
    upstreams, proxies = ({kind: ports.pop() for kind in upstream.KINDS} for _ in range(2))
    upstream_conf, proxy_conf = upstream.nginx_conf(directory, upstreams, proxies)
    stack.enter_context(nginx(upstream_conf, directory / "plain.conf", upstreams["plain"]))
    command = python("-m", "tests.benchmarks.upstream", str(upstreams["streams"]), str(upstreams["paced"]))
    stack.enter_context(running(command, upstreams["streams"], directory / "streams.out"))
    stack.enter_context(nginx(proxy_conf, directory / "proxy.conf", proxies["plain"]))
    found = {"direct": Contestant(_urls(upstreams)), "nginx": Contestant(_urls(proxies))}
    if importlib.util.find_spec("aiohttp"):
        found["bare"] = _bare(stack, directory, upstreams, ports)
    for mode in [options.only] if options.only else MODES:
        found[mode] = _gateways(stack, directory, mode, upstreams, ports, ingest=options.ingest)
    return found


def _urls(ports: dict[str, int]) -> dict[str, str]:
    return {kind: f"http://127.0.0.1:{port}{PATH}" for kind, port in ports.items()}


def _bare(stack: ExitStack, directory: Path, upstreams: dict[str, int], free: list[int]) -> Contestant:
    ports = {}
    for kind in upstream.KINDS:
        ports[kind] = free.pop()
        command = python("-m", "tests.benchmarks.bare", str(ports[kind]), f"http://127.0.0.1:{upstreams[kind]}")
        stack.enter_context(running(command, ports[kind], directory / f"bare-{kind}.out"))
    return Contestant(_urls(ports))


def _gateways(
    stack: ExitStack, directory: Path, mode: str, upstreams: dict[str, int], free: list[int], *, ingest: bool
) -> Contestant:
    """A gateway for each kind of answer: the same model, each with its own upstream."""
    ports, pids = {}, []
    for kind in upstream.KINDS:
        ports[kind] = free.pop()
        started = gateway_at(ports[kind], directory / f"{mode}-{kind}", mode, upstreams[kind], ingest=ingest)
        pids.append(stack.enter_context(started))
    return Contestant(_urls(ports), tuple(pids))


def gateway_at(
    port: int, home: Path, mode: str, upstream_port: int, *, ingest: bool = False, workers: int = 1
) -> AbstractContextManager[int]:
    """A gateway with the model of the upstream, in a new directory."""
    home.mkdir()
    values = {"mode": mode, "model": upstream.MODEL, "port": upstream_port}
    (home / "callmeter.toml").write_text(_SETTINGS.format(**values))
    command = python("-m", "collector.cli", "--data-dir", home, "--config", home / "callmeter.toml")
    command += ["gateway", "--port", str(port), "--workers", str(workers), *([] if ingest else ["--no-ingest"])]
    return running(command, port, home / "gateway.out")


def _measure(contestants: dict[str, Contestant], directory: Path, options: argparse.Namespace) -> Figures:
    plain = wrk.script(directory / "plain.lua", stream=False)
    streams = wrk.script(directory / "streams.lua", stream=True)
    seen: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        for name, at in contestants.items():
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr)
            figures = {
                "json": wrk.load(at.urls["plain"], plain, 16, options.seconds).rate,
                "stream": wrk.load(at.urls["streams"], streams, 16, options.seconds).rate,
                "paced": wrk.load(at.urls["paced"], streams, 64, options.seconds).rate,
                "alone": median_us(at.urls["plain"], 500, pause_s=0.001),
                "at once": median_us(at.urls["plain"], 2000, pause_s=0.0),
            }
            for kind, figure in figures.items():
                seen.setdefault((name, kind), []).append(figure)
    return {key: statistics.median(values) for key, values in seen.items()}


def _results(figures: Figures, rss: dict[str, float]) -> list[Result]:
    results = []
    for mode in rss:
        json, nginx_json = figures[mode, "json"], figures["nginx", "json"]
        stream, nginx_stream = figures[mode, "stream"], figures["nginx", "stream"]
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
                f"64 paced streams, {mode}",
                f"{figures[mode, 'paced']:,.0f}/s of nginx {figures['nginx', 'paced']:,.0f}/s",
                figures[mode, "paced"] / figures["nginx", "paced"],
            ),
            _added(f"added median, 1 connection, {mode}", figures, mode, "alone", ADDED_TARGET[mode]),
            _added(f"added median, 1 connection, at once, {mode}", figures, mode, "at once"),
            *_beside_bare(figures, mode),
            Result(f"memory of a worker, {mode}", "MiB at its peak", rss[mode], RSS_TARGET_MIB, at_most=True),
        ]
    return results


def _beside_bare(figures: Figures, mode: str) -> list[Result]:
    """The figures of a mode, of the bare relay's."""
    if ("bare", "json") not in figures:
        return []
    results = []
    for name, kind in (("JSON", "json"), (f"streams of {upstream.CHUNKS} chunks", "stream")):
        own, bare = figures[mode, kind], figures["bare", kind]
        results.append(Result(f"{name}, {mode}", f"{own:,.0f}/s of the bare relay's {bare:,.0f}/s", own / bare))
    added = f"added median, 1 connection, {mode}"
    return [*results, _added(added, figures, mode, "alone", beside="bare")]


def _added(
    name: str, figures: Figures, mode: str, kind: str, target: float | None = None, beside: str = "nginx"
) -> Result:
    direct, other, own = (figures[who, kind] for who in ("direct", beside, mode))
    detail = f"{own - direct:,.0f} us of {_NAMES[beside]} {other - direct:,.0f} us"
    return Result(name, detail, (own - direct) / (other - direct), target, at_most=True)


if __name__ == "__main__":
    main()
