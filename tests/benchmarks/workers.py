"""What two workers carry of what one does: `python -m tests.benchmarks.workers [--rounds 3] [--seconds 3]`.

JSON at 64 connections to an nginx upstream. wrk, the upstream and the workers share the machine's cores: with fewer
than four of them the workers cannot have two for themselves, and the ratio says more of the machine than of them.
"""

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import upstream, wrk
from tests.benchmarks.gateway import PATH, gateway_at
from tests.benchmarks.servers import free_ports, nginx
from tests.benchmarks.table import Result, show

CONNECTIONS = 64
TARGET = 1.6
CORES_NEEDED = 4


def main() -> None:
    options = _options()
    rates: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callmeter-bench-")))
        ports = free_ports(2 + 2 * len(upstream.KINDS))
        upstreams, unused = ({kind: ports.pop() for kind in upstream.KINDS} for _ in range(2))
        conf, _ = upstream.nginx_conf(directory, upstreams, unused)
        stack.enter_context(nginx(conf, directory / "plain.conf", upstreams["plain"]))
        for workers in rates:
            home = directory / str(workers)
            stack.enter_context(gateway_at(ports[workers - 1], home, "interval", upstreams["plain"], workers=workers))
        plain = wrk.script(directory / "plain.lua", stream=False)
        for number in range(options.rounds):
            for workers, seen in rates.items():
                print(f"round {number + 1} of {options.rounds}: {workers}", file=sys.stderr)
                url = f"http://127.0.0.1:{ports[workers - 1]}{PATH}"
                seen.append(wrk.load(url, plain, CONNECTIONS, options.seconds).rate)
    one, two = (statistics.median(seen) for seen in rates.values())
    cores = len(os.sched_getaffinity(0))
    detail = f"{two:,.0f}/s of {one:,.0f}/s on {cores} cores"
    show([Result("two workers of one, JSON", detail, two / one, TARGET if cores >= CORES_NEEDED else None)])
    if cores < CORES_NEEDED:
        print(f"not judged: {TARGET} is the target from {CORES_NEEDED} cores on, two of them for the workers alone")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
