"""wrk with a POST body, and its figures."""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.upstream import REQUEST

_SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-bench"
wrk.headers["HTTP-Referer"] = "https://app-00.example"
wrk.headers["X-Title"] = "Benchmark"
wrk.headers["User-Agent"] = "OpenAI/Python 3.1.0"
wrk.body = [==[%s]==]
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%f %%d\\n", summary.requests, summary.duration, latency:percentile(50),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class Load(NamedTuple):
    """Requests, requests a second, and the median latency in microseconds."""

    requests: int
    rate: float
    median_us: float


def script(path: Path, *, stream: bool) -> Path:
    """A wrk script that posts a chat request."""
    body = {**REQUEST, "stream": True} if stream else REQUEST
    path.write_text(_SCRIPT % json.dumps(body, separators=(",", ":")))
    return path


def load(url: str, posts: Path, connections: int, seconds: float) -> Load:
    """Load an address with one thread; stops the benchmark on any error."""
    command = [
        "/usr/bin/wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "-s",
        str(posts),
        "--latency",
        url,
    ]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    fields = next(line for line in printed.splitlines() if line.startswith("RESULT")).split()
    requests, duration_us, median_us, errors = int(fields[1]), int(fields[2]), float(fields[3]), int(fields[4])
    if errors or not requests:
        raise SystemExit(f"{url}: {errors} errors in {requests} requests\n{printed}")
    return Load(requests, requests / duration_us * 1e6, median_us)
