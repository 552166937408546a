"""A real cron daemon runs the line that `callmeter schedule --install` wrote."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.core.errors import LedgerError
from tests.cron.test_collect import journal, stored

CRON = "/usr/sbin/cron"
WITHIN_S = 150  # cron looks at its tables once a minute


@pytest.fixture
def cron() -> Iterator[None]:
    """A running cron daemon: the machine's own, or one for as long as the test takes."""
    if os.geteuid() != 0:
        pytest.skip("only root can run a cron daemon")
    if not (Path(CRON).exists() and shutil.which("crontab")):
        pytest.skip("cron is not installed: apt-get install cron")
    daemon = subprocess.Popen([CRON, "-f"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, said = daemon.communicate(timeout=2)
        assert "can't lock" in said, said  # another daemon is at work, and serves as well
        yield
    except subprocess.TimeoutExpired:
        yield
        daemon.terminate()
        daemon.wait(10)


def callmeter(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "collector.cli", "--data-dir", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.waits
def test_a_real_cron_stores_what_is_journalled(cron: None, tmp_path: Path) -> None:
    folder = tmp_path / "it's 100% here"
    folder.mkdir()
    journal(folder)
    callmeter(folder, "schedule", "--install")
    try:
        deadline = time.monotonic() + WITHIN_S
        while calls_in(folder) < 2:
            assert time.monotonic() < deadline, f"cron did not collect; its last run said: {last_output(folder)}"
            time.sleep(0.5)
    finally:
        callmeter(folder, "schedule", "--remove")
    assert str(folder) not in subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout


def calls_in(folder: Path) -> int:
    """How many calls the ledger holds; 0 while it is not made yet."""
    try:
        return stored(folder)[0]
    except LedgerError:
        return 0


def last_output(folder: Path) -> str:
    log = folder / "collect.log"
    return log.read_text() if log.exists() else "nothing, it was never run"
