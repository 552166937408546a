"""The table of jobs: what is due when, and that one failing job is recorded and stops no other."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.core.errors import CallmeterError, LockHeld, UsageError
from collector.jobs import JOBS, KEPT_RUNS, Job, Run, Work, collect, doing, is_due, job_named, last_runs
from collector.jobs.doing import Ending, due, perform
from collector.ledger.engines import open_ledger
from collector.locks import hold
from collector.settings import Settings, load_settings

S = 1_000_000
NOON = 1_790_856_000 * S  # 2026-10-01T12:00Z
MINUTELY, DAILY = (Job("m", 60, "", 1, lambda work: 0), Job("d", 86400, "", 1, lambda work: 0))


def run(started_at: int, ended: bool = True, error: str | None = None) -> Run:
    return Run("x", started_at, started_at + S if ended else None, 0, error)


@pytest.mark.parametrize(
    ("job", "last", "due"),
    [
        (MINUTELY, None, True),
        (MINUTELY, run(NOON - 59 * S), True),  # cron's minutes are not exact
        (MINUTELY, run(NOON - 20 * S), False),
        (DAILY, run(NOON - 23 * 3600 * S), False),
        (DAILY, run(NOON - 24 * 3600 * S), True),
        (DAILY, run(NOON - 30 * 86400 * S), True),
        (DAILY, run(NOON - 1800 * S, error="it broke"), False),
        (DAILY, run(NOON - 3600 * S, error="it broke"), True),
        (DAILY, run(NOON - 3600 * S, ended=False), True),
        (DAILY, run(NOON + 3600 * S), True),  # the clock was set back
    ],
)
def test_a_job_is_due_when_its_period_has_gone_by(job: Job, last: Run | None, due: bool) -> None:
    assert is_due(job, last, NOON) is due


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environ={})


def fails(work: Work) -> int:
    raise CallmeterError("the disk\nis on fire")


def breaks(work: Work) -> int:
    return int({}["nothing"])


def test_a_job_that_fails_is_recorded_and_the_next_one_runs(settings: Settings) -> None:
    jobs = [
        Job("first", 60, "", 9, fails),
        Job("second", 60, "", 9, breaks),
        Job("third", 60, "", 9, lambda work: 7),
    ]
    assert collect(settings, lambda: NOON, jobs) == ["first: the disk is on fire", "second: KeyError: 'nothing'"]
    runs = last_runs(open_ledger(settings.ledger_url))
    assert runs["first"] == Run("first", NOON, NOON, None, "the disk is on fire")
    assert runs["third"] == Run("third", NOON, NOON, 7, None)


def test_a_job_that_takes_too_long_is_ended(settings: Settings) -> None:
    slow = Job("slow", 60, "", 1, lambda work: time.sleep(60) or 0)
    assert collect(settings, lambda: NOON, [slow]) == ["slow: slow did not end within 1 s"]


def test_a_run_that_was_killed_has_no_end(settings: Settings) -> None:
    def killed(work: Work) -> int:
        with open_ledger(settings.ledger_url).connect():
            assert last_runs(work.engine)["k"] == Run("k", NOON, None, None, None)
        return 0

    assert collect(settings, lambda: NOON, [Job("k", 60, "", 9, killed)]) == []


def test_a_job_stopped_from_outside_says_so_and_ends_all(settings: Settings) -> None:
    def interrupted(work: Work) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(settings, lambda: NOON, [Job("k", 60, "", 9, interrupted)])
    assert last_runs(open_ledger(settings.ledger_url))["k"].error == "stopped before its end"


@pytest.mark.parametrize("event", ["INSERT", "UPDATE"])
def test_a_ledger_that_takes_no_more_is_told_and_stops_no_other_job(event: str, settings: Settings) -> None:
    engine = open_ledger(settings.ledger_url, create=True)
    with engine.begin() as connection:
        full = "SELECT RAISE(FAIL, 'database or disk is full')"
        connection.exec_driver_sql(f"CREATE TRIGGER t BEFORE {event} ON job_runs WHEN NEW.name = 'a' BEGIN {full}; END")
    jobs = [Job("a", 60, "", 9, lambda work: 1), Job("b", 60, "", 9, lambda work: 2)]
    (line,) = collect(settings, lambda: NOON, jobs)
    assert line.startswith("a: ")
    assert "database or disk is full" in line
    assert last_runs(engine)["b"].rows == 2


def test_only_the_newest_runs_are_kept(settings: Settings) -> None:
    job = Job("often", 60, "", 9, lambda work: 0)
    collect(settings, lambda: NOON, [job] * (KEPT_RUNS + 5))
    with open_ledger(settings.ledger_url).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*), max(id) FROM job_runs").one() == (
            KEPT_RUNS,
            KEPT_RUNS + 5,
        )


def test_rounds_overlap_but_each_job_runs_once_at_a_time(settings: Settings) -> None:
    (settings.data_dir / "locks").mkdir()
    slow, quick = Job("slow", 60, "", 9, lambda work: 1), Job("quick", 60, "", 9, lambda work: 2)
    with hold(settings.data_dir / "locks" / "slow.lock", "slow"):
        assert collect(settings, lambda: NOON, [slow, quick]) == []
        with pytest.raises(LockHeld, match=r"slow\.lock is held"):
            collect(settings, lambda: NOON, [slow])
    assert set(last_runs(open_ledger(settings.ledger_url))) == {"quick"}


def test_what_another_round_did_meanwhile_is_not_done_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both rounds saw that it was due; the second gets the lock when the first has done it."""
    runs: list[int] = []
    job = Job("once", 60, "", 9, lambda work: runs.append(1) or 0)
    assert due(settings, lambda: NOON, [job]) == [job]
    work, real = Work(settings, open_ledger(settings.ledger_url), 0), doing.hold

    @contextmanager
    def after_another_round(path: Path, what: str) -> Iterator[None]:
        monkeypatch.setattr(doing, "hold", real)
        assert perform(work, job, lambda: NOON) == Ending("once")
        with real(path, what):
            yield

    monkeypatch.setattr(doing, "hold", after_another_round)
    assert perform(work, job, lambda: NOON) == Ending("once")
    assert runs == [1]


def test_a_job_that_nothing_asks_for_is_never_due_and_says_what_to_set(settings: Settings) -> None:
    unset = Job("u", 60, "", 9, breaks, is_set=lambda settings: False, setting="[[status_pages]]")
    with pytest.raises(UsageError, match=r"the job u has nothing to do: set \[\[status_pages\]\] in callmeter.toml"):
        collect(settings, lambda: NOON, [unset])


def test_without_a_data_directory_nothing_is_made(tmp_path: Path) -> None:
    settings = load_settings(tmp_path / "absent", environ={})
    with pytest.raises(UsageError, match="does not exist: create it or run `callmeter up`"):
        collect(settings, lambda: NOON)
    assert not (tmp_path / "absent").exists()


def test_an_unknown_job_is_told_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no job 'drian': the jobs are zone, drain, "):
        job_named("drian")


def test_every_job_has_a_name_of_its_own_a_summary_and_a_limit() -> None:
    assert len({job.name for job in JOBS}) == len(JOBS)
    assert all(job.summary and job.limit_s > 0 for job in JOBS)
