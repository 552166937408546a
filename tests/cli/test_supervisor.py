"""Parts under a supervisor: what dies is started again, and nothing is left however the end comes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.core.errors import CallmeterError
from collector.supervisor import take_port
from tests.processes import until

PART = """
import os, sys, time
from collector.parent import watch_parent
watch_parent()
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(600)
"""
WITH_WORKER = f"""
import subprocess, sys
from collector.parent import watch_parent
watch_parent()
subprocess.Popen([sys.executable, "-c", {PART!r}, sys.argv[1]]).wait()
"""
SUPERVISOR = """
import sys
from collector.supervisor import Part, supervise
part, *folders = sys.argv[1:]
sys.exit(supervise([Part(name, (sys.executable, "-c", part, name)) for name in folders], 10.0))
"""


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a supervisor of one part per file; what a failed test left running is killed, and its parts with it."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*files: Path, part: str = PART, before: str = "") -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", before + SUPERVISOR, part, *map(str, files)]))
        return started[-1]

    yield begin
    for supervisor in started:
        supervisor.kill()
        supervisor.wait(30)


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_parts_and_the_supervisor_exits_0(number: int, tmp_path: Path, start: Start) -> None:
    files = tmp_path / "a", tmp_path / "b"
    supervisor = start(*files)
    until(lambda: all(pids(file) for file in files))
    supervisor.send_signal(number)
    assert supervisor.wait(30) == 0
    assert not any(is_running(pid) for file in files for pid in pids(file))


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path: Path, start: Start) -> None:
    supervisor = start(tmp_path / "a", before="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    (pid,) = until(lambda: pids(tmp_path / "a"))
    supervisor.send_signal(signal.SIGHUP)
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(pids(tmp_path / "a")) == 2)
    supervisor.terminate()
    assert supervisor.wait(30) == 0


def test_a_part_that_dies_is_started_again(tmp_path: Path, start: Start) -> None:
    supervisor = start(tmp_path / "a")
    (first,) = until(lambda: pids(tmp_path / "a"))
    os.kill(first, signal.SIGKILL)
    until(lambda: len(pids(tmp_path / "a")) == 2)
    supervisor.terminate()
    assert supervisor.wait(30) == 0


def test_a_part_that_cannot_be_started_for_a_while_is_started_later(tmp_path: Path, start: Start) -> None:
    python = tmp_path / "python"

    def install() -> None:
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o700)

    install()
    supervisor = start(tmp_path / "a", before=f"import sys; sys.executable = {str(python)!r}\n")
    (first,) = until(lambda: pids(tmp_path / "a"))
    python.unlink()
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_running(first))
    time.sleep(1)  # it is tried in vain after half a second
    install()
    until(lambda: len(pids(tmp_path / "a")) == 2)
    supervisor.terminate()
    assert supervisor.wait(30) == 0


def test_no_part_outlives_a_supervisor_that_was_killed(tmp_path: Path, start: Start) -> None:
    files = tmp_path / "a", tmp_path / "b"
    supervisor = start(*files)
    until(lambda: all(pids(file) for file in files))
    supervisor.kill()
    supervisor.wait(30)
    until(lambda: not any(is_running(pid) for file in files for pid in pids(file)))


def test_a_part_that_was_used_wrongly_ends_all_with_2(tmp_path: Path, start: Start) -> None:
    supervisor = start(tmp_path / "a", part="import sys; sys.exit(2)")
    assert supervisor.wait(30) == 2


def test_a_part_whose_settings_become_wrong_comes_back_when_they_are_right(tmp_path: Path, start: Start) -> None:
    settings = tmp_path / "wrong"
    part = f"import os, sys\nif os.path.exists({str(settings)!r}): print(file=sys.stderr); sys.exit(2)\n{PART}"
    supervisor = start(tmp_path / "a", tmp_path / "b", part=part)
    (first,), (other,) = until(lambda: pids(tmp_path / "a")), until(lambda: pids(tmp_path / "b"))
    settings.touch()
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_running(first))
    assert supervisor.poll() is None
    assert is_running(other)
    settings.unlink()
    until(lambda: len(pids(tmp_path / "a")) == 2)
    supervisor.terminate()
    assert supervisor.wait(30) == 0


def test_what_a_dead_part_left_behind_is_ended_before_it_starts_again(tmp_path: Path, start: Start) -> None:
    supervisor = start(tmp_path / "a", part=WITH_WORKER)
    (worker,) = until(lambda: pids(tmp_path / "a"))
    os.kill(os.getpgid(worker), signal.SIGKILL)
    until(lambda: len(pids(tmp_path / "a")) == 2)
    assert not is_running(worker)
    supervisor.terminate()
    assert supervisor.wait(30) == 0
    until(lambda: not any(is_running(pid) for pid in pids(tmp_path / "a")))


def test_a_port_in_use_is_one_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CallmeterError, match=f"port {port} on 127.0.0.1: Address already in use"):
            take_port("127.0.0.1", port)


def test_port_0_is_any_free_port() -> None:
    assert take_port("127.0.0.1", 0) > 0
