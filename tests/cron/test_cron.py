"""A real cron daemon runs the line that `callmeter schedule --install` wrote."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from collector.core.errors import LedgerError
from collector.ledger.engines import open_ledger
from tests.answering import Reply, answering
from tests.cron.test_collect import journal, stored

CRON = "/usr/sbin/cron"


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
def test_a_real_cron_stores_what_is_journalled_and_its_rounds_overlap(cron: None, tmp_path: Path) -> None:
    """One minute of cron beside a round that lasts longer; CALLMETER_TEST_CRON_MINUTES=5 watches five of them."""
    minutes = int(os.environ.get("CALLMETER_TEST_CRON_MINUTES", "1"))
    with answering(lambda asked: Reply(status=429, headers={"Retry-After": "22"})) as slow:
        folder = tmp_path / "it's 100% here"
        folder.mkdir()
        config = folder / "callmeter.toml"
        config.write_text(f'[pulls.openai]\nbase_url = "{slow.url}"\nwhat = ["usage"]\n')  # three waits of 22 s
        journal(folder)
        arguments = ("--config", str(config))
        while time.time() % 60 > 25:  # cron's next minute has to come after half a minute, when drain is due again,
            time.sleep(0.2)  # and before our round ends
        own = subprocess.Popen(
            [sys.executable, "-m", "collector.cli", "--data-dir", str(folder), *arguments, "collect"]
        )
        callmeter(folder, *arguments, "schedule", "--install")
        try:
            begun = time.monotonic()
            while len(runs_of(folder, "drain")) <= minutes:
                assert time.monotonic() - begun < 60 * minutes + 90, last_output(folder)
                time.sleep(0.5)
        finally:
            callmeter(folder, *arguments, "schedule", "--remove")
            own.wait(150)
    assert str(folder) not in subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False).stdout
    assert calls_in(folder) == 2
    drains, pulls = runs_of(folder, "drain"), runs_of(folder, "openai_usage")
    begun_at, ended_at = pulls[0]
    assert ended_at is not None
    assert any(begun_at < at < ended_at for at, _ in drains[1:]), (pulls, drains)  # cron's round beside our own
    for name, spans in (("drain", drains), ("openai_usage", pulls)):
        assert all(end is None or end <= following[0] for (_, end), following in pairwise(spans)), (name, spans)
    assert "the books agree" in callmeter(folder, "check")


def runs_of(folder: Path, name: str) -> list[tuple[int, int | None]]:
    """Start and end of a job's runs, in order."""
    try:
        engine = open_ledger(f"sqlite:///{folder / 'callmeter.db'}", read_only=True)
    except LedgerError:
        return []
    with engine.connect() as connection:
        query = "SELECT started_at, ended_at FROM job_runs WHERE name = ? ORDER BY id"
        return [tuple(row) for row in connection.exec_driver_sql(query, (name,))]


def calls_in(folder: Path) -> int:
    """How many calls the ledger holds; 0 while it is not made yet."""
    try:
        return stored(folder)[0]
    except LedgerError:
        return 0


def last_output(folder: Path) -> str:
    log = folder / "collect.log"
    return log.read_text() if log.exists() else "nothing, it was never run"
