"""Jobs side by side: one that is slow, hangs, dies or is stopped holds up no other and leaves its record."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from collector.core.errors import LedgerError, LockHeld
from collector.jobs import JOBS, Job, Work, crew, last_runs, rounds
from collector.jobs.crew import Crew, lane_of
from collector.jobs.doing import Ending
from collector.ledger.engines import open_ledger
from collector.ledger.questions.jobs import STOPPED
from collector.locks import hold
from collector.settings import Settings, load_settings
from tests.answering import Asked, Reply, answering
from tests.processes import until as wait_until
from tests.pulls.test_sums import ACTIVITY

NOON = 1_790_856_000_000_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environ={})


def job(name: str, run: Callable[[Work], int], limit_s: int = 30, lane: str = "") -> Job:
    return Job(name, 60, "", limit_s, run, lane=lane)


def waits_for(path: Path, seconds: float = 20.0) -> Callable[[Work], int]:
    """A job that ends once a file is there."""

    def run(work: Work) -> int:
        until = time.monotonic() + seconds
        while not path.exists():
            assert time.monotonic() < until, f"{path} never came"
            time.sleep(0.01)
        return 1

    return run


def makes(path: Path) -> Callable[[Work], int]:
    return lambda work: path.write_text("x")


def round_of(settings: Settings, monkeypatch: pytest.MonkeyPatch, *jobs: Job) -> list[str]:
    monkeypatch.setattr(rounds, "JOBS", jobs)
    return rounds.collect(settings, lambda: NOON)


def test_a_slow_job_delays_no_other(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The first one ends only when the last one has run."""
    jobs = (job("slow", waits_for(tmp_path / "made")), job("x", lambda work: 1), job("quick", makes(tmp_path / "made")))
    assert round_of(settings, monkeypatch, *jobs) == []
    runs = last_runs(open_ledger(settings.ledger_url))
    assert [runs[each.name].error for each in jobs] == [None, None, None]


def test_jobs_of_a_lane_go_one_after_another(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def alone(work: Work) -> int:
        (tmp_path / "inside").mkdir()
        time.sleep(0.1)
        (tmp_path / "inside").rmdir()
        return 1

    assert round_of(settings, monkeypatch, *(job(name, alone, lane="one") for name in "abc")) == []
    assert {run.rows for run in last_runs(open_ledger(settings.ledger_url)).values()} == {1}


def test_a_slow_server_delays_no_other_source(tmp_path: Path) -> None:
    """Its answer comes only after all other sources were asked, alerts and heartbeat among them."""
    seen: set[str] = set()
    others = {"/activity", "/ping", "/status/api/v2/incidents.json", "/v1/models"}

    def answer(asked: Asked) -> Reply:
        if not asked.path.startswith("/organization"):
            seen.add(asked.path)
            return Reply({"data": [{**ACTIVITY, "date": asked.param("date")}], "incidents": []})
        until = time.monotonic() + 25
        while not others <= seen and time.monotonic() < until:
            time.sleep(0.01)
        return Reply({"data": []}) if others <= seen else Reply(status=400)

    with answering(answer) as server:
        (tmp_path / "c.toml").write_text(f"""
[settings]
heartbeat_url = "{server.url}/ping"
[providers.p]
base_url = "{server.url}/v1"
[pulls.openai]
base_url = "{server.url}"
[pulls.anthropic]
base_url = "{server.url}"
[pulls.openrouter]
base_url = "{server.url}"
what = ["activity"]
[[status_pages]]
provider = "p"
url = "{server.url}/status"
""")
        settings = load_settings(tmp_path, config=tmp_path / "c.toml", environ={})
        assert rounds.collect(settings, lambda: NOON) == []
    assert others <= seen


def test_a_job_that_no_signal_reaches_is_killed_and_recorded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(work: Work) -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM})
        time.sleep(60)
        return 0

    monkeypatch.setattr(crew, "GRACE_S", 0.5)
    failed = round_of(settings, monkeypatch, job("hangs", hangs, limit_s=1), job("x", lambda work: 1))
    assert failed == ["hangs: did not end within 1 s and was killed"]
    assert last_runs(open_ledger(settings.ledger_url))["hangs"].error == "did not end within 1 s and was killed"


def test_a_job_that_dies_is_recorded_and_stops_no_other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(work: Work) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert round_of(settings, monkeypatch, job("dies", dies), job("x", lambda work: 1)) == [
        "dies: was ended by signal 9"
    ]
    runs = last_runs(open_ledger(settings.ledger_url))
    assert (runs["dies"].error, runs["x"].rows) == ("was ended by signal 9", 1)


def test_a_ledger_that_cannot_be_opened_is_one_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(url: str) -> NoReturn:
        raise LedgerError("disk I/O error")

    monkeypatch.setattr(crew, "open_ledger", broken)
    assert round_of(settings, monkeypatch, job("a", lambda work: 1)) == ["a: disk I/O error"]
    assert "Traceback" not in capfd.readouterr().err


def test_a_round_that_is_interrupted_ends_its_jobs_without_a_word_of_theirs(tmp_path: Path) -> None:
    with answering(lambda _: Reply({"incidents": []}, wait_s=20)) as server:
        (tmp_path / "c.toml").write_text(f'[[status_pages]]\nprovider = "p"\nurl = "{server.url}"\n')
        files = ("--data-dir", str(tmp_path), "--config", str(tmp_path / "c.toml"))
        heeding = ["env", "--default-signal=INT"]  # what a shell starts in the background inherits SIGINT ignored
        command = [*heeding, sys.executable, "-m", "collector.cli", *files, "collect"]
        own = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        wait_until(lambda: server.asked, lambda: "nothing was asked")
        os.killpg(own.pid, signal.SIGINT)
        _, said = own.communicate(timeout=30)
        assert "Traceback" not in said
        with hold(tmp_path / "locks" / "status_pages.lock", "status_pages"):
            pass
    assert last_runs(open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}"))["status_pages"].error == STOPPED


def test_what_runs_elsewhere_is_held_and_what_is_free_is_done(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (settings.data_dir / "locks").mkdir()
    with hold(settings.data_dir / "locks" / "a.lock", "a"):
        assert round_of(settings, monkeypatch, job("a", lambda work: 1), job("b", lambda work: 1)) == []
        with pytest.raises(LockHeld, match=r"a\.lock is held"):
            round_of(settings, monkeypatch, job("a", lambda work: 1))


def test_a_stale_lock_file_of_a_dead_process_holds_nobody(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.data_dir / "locks").mkdir()
    script = (
        f"import os, signal; from collector.locks import hold; from pathlib import Path\n"
        f"with hold(Path({str(settings.data_dir / 'locks' / 'a.lock')!r}), 'a'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    assert (settings.data_dir / "locks" / "a.lock").exists()
    assert round_of(settings, monkeypatch, job("a", lambda work: 1)) == []


def test_the_loop_goes_on_while_a_job_lasts_and_stops_it_at_the_end(settings: Settings, tmp_path: Path) -> None:
    now = [NOON]
    its = Crew(settings, lambda: now[0], (job("long", waits_for(tmp_path / "never")), job("often", lambda work: 1)))
    endings: list[Ending] = []
    try:
        for _ in range(3):
            its.begin()
            until = time.monotonic() + 20
            while not (some := its.ended(0.1)):
                assert time.monotonic() < until
            endings += some
            now[0] += 60_000_000
    finally:
        its.stop()
    assert endings == [Ending("often")] * 3
    assert its.is_idle()
    assert last_runs(open_ledger(settings.ledger_url))["long"].error == STOPPED


def test_the_processes_of_a_round_that_was_killed_end_with_it(tmp_path: Path) -> None:
    with answering(lambda _: Reply({"incidents": []}, wait_s=20)) as server:
        (tmp_path / "c.toml").write_text(f'[[status_pages]]\nprovider = "p"\nurl = "{server.url}"\n')
        files = ("--data-dir", str(tmp_path), "--config", str(tmp_path / "c.toml"))
        own = subprocess.Popen([sys.executable, "-m", "collector.cli", *files, "collect"])
        wait_until(lambda: server.asked, lambda: "nothing was asked")
        own.kill()
        own.wait()
        with hold(tmp_path / "locks" / "status_pages.lock", "status_pages", wait_s=15):
            pass


def test_what_asks_others_shares_no_lane_with_the_books() -> None:
    lanes = {each.name: lane_of(each) for each in JOBS}
    books = {lanes[name] for name in ("zone", "drain", "deliver", "retention", "backup", "check")}
    assert {name for name, lane in lanes.items() if lane in books} == {
        "zone", "drain", "deliver", "retention", "backup", "check",
    }  # fmt: skip
    assert len({lanes[name] for name in ("alerts", "heartbeat", "probe", "status_pages", "drain", "check")}) == 6
    assert lanes["openai_usage"] == lanes["openai_costs"] != lanes["anthropic_usage"]
