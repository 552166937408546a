"""Real callmeter processes in tests: started, waited for, ended by id, and nothing of them left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
WITHIN_S = 60.0


class Running:
    """A callmeter command that keeps running, and what it printed on stdout."""

    def __init__(self, folder: Path, environ: dict[str, str], *arguments: str) -> None:
        self.folder = folder
        self.out, self.err = folder / "stdout.txt", folder / "stderr.txt"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "collector.cli", *arguments],
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environ},
                stdout=out,
                stderr=err,
            )

    def addresses(self, *names: str) -> dict[str, str]:
        """The address that it printed for each name, once all are there."""

        def found() -> dict[str, str] | None:
            assert self.process.poll() is None, self.err.read_text()
            printed = dict(line.split() for line in self.out.read_text().splitlines() if line.count(" ") > 0)
            return printed if printed.keys() >= set(names) else None

        return until(found, lambda: self.err.read_text())

    def children(self) -> dict[int, str]:
        """The processes of its parts, with their command lines."""
        return {pid: line for pid, parent, line in processes() if parent == self.process.pid}

    def end(self, number: int = signal.SIGINT) -> int:
        """Sends a signal, and returns the exit code when all that it had started has ended too."""
        parts = self.children()
        self.process.send_signal(number)
        code = self.process.wait(WITHIN_S)
        until(lambda: not parts.keys() & {pid for pid, _, _ in processes()}, lambda: str(parts))
        return code


@contextmanager
def running(folder: Path, *arguments: str, environ: dict[str, str] | None = None) -> Iterator[Running]:
    """A callmeter command in a working directory of its own, killed at the end when the test did not end it."""
    started = Running(folder, environ or {}, *arguments)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()  # its parts then end themselves
            started.process.wait(WITHIN_S)


def processes() -> Iterator[tuple[int, int, str]]:
    """Id, parent and command line of every process that has not ended."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if state != "Z":
                yield int(entry.name), int(parent), line


def until(what: Callable[[], T | None], why: Callable[[], str] = lambda: "", within_s: float = WITHIN_S) -> T:
    """What `what` returns as soon as that is true; fails with `why` when it does not become so in time."""
    deadline = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < deadline, f"it did not come to pass in {within_s:g} s: {why()}"
        time.sleep(0.02)
    return found
