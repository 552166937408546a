"""Starts what a benchmark measures and ends it again, by process id."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@contextmanager
def running(command: Sequence[str | Path], port: int, log: Path) -> Iterator[int]:
    """A process that listens on `port`; gives its id. Ends it, and what it started, at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen([str(c) for c in command], stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_for(port, process, log)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on {port}: {log.read_text()[-2000:]}")


def nginx(conf: str, path: Path, port: int) -> "contextmanager[int]":  # type: ignore[valid-type]
    """An nginx of one worker."""
    path.write_text(conf)
    return running(["/usr/sbin/nginx", "-p", path.parent, "-c", path], port, path.with_suffix(".out"))  # type: ignore[return-value]


def python(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, *arguments]


def rss_mib(pid: int) -> float:
    """The resident memory of the largest of a process and its descendants, at its peak, in MiB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    status = Path(f"/proc/{pid}/status").read_text()
    own = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
    return max([own, *(rss_mib(int(child)) for child in children)])
