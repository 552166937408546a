"""One round: every job that is due, once. `callmeter collect` (cron) and `callmeter up` do the same rounds.

Each job has a lock of its own, so that rounds may overlap and none waits for a slow job. One that fails is recorded and
does not stop the others.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import msgspec
from sqlalchemy.exc import DBAPIError

from collector.core.errors import CallmeterError, LockHeld, UsageError
from collector.jobs.books import run_drain
from collector.jobs.runs import begin, end, is_due, last_runs
from collector.jobs.table import JOBS
from collector.jobs.work import Job, Work
from collector.ledger.engines import open_ledger
from collector.ledger.rollups import Progress
from collector.locks import hold
from collector.settings import Settings

LOCKS = "locks"  # a folder in the data directory
MAX_ERROR_CHARS = 2_000


class JobTimeout(CallmeterError):
    """A job did not end within its time limit."""


def collect(
    settings: Settings, now: Callable[[], int], jobs: Sequence[Job] | None = None, progress: Progress | None = None
) -> list[str]:
    """Does what is due, or exactly `jobs`; returns one line for each that failed.

    `now` gives microseconds UTC; `progress` is told how far long work is. Raises LockHeld when others do all of it.
    """
    if not settings.data_dir.is_dir():
        raise UsageError(f"the data directory {settings.data_dir} does not exist: create it or run `callmeter up`")
    for job in jobs or ():
        if not job.is_set(settings):
            raise UsageError(f"the job {job.name} has nothing to do: set {job.setting} in callmeter.toml")
    (settings.data_dir / LOCKS).mkdir(exist_ok=True)
    engine = open_ledger(settings.ledger_url, create=True)
    try:
        return _round(Work(settings, engine, 0, progress), now, jobs)
    finally:
        engine.dispose()


def _round(base: Work, now: Callable[[], int], jobs: Sequence[Job] | None) -> list[str]:
    failed: list[str] = []
    held: list[LockHeld] = []
    done = 0
    for job in JOBS if jobs is None else jobs:
        if jobs is None and not _has_to_run(job, msgspec.structs.replace(base, now_us=now())):
            continue
        try:
            with hold(base.settings.data_dir / LOCKS / f"{job.name}.lock", job.name):
                work = msgspec.structs.replace(base, now_us=now())
                if jobs is not None or _has_to_run(job, work):  # another round may have done it meanwhile
                    failed += filter(None, [run_job(job, work, now)])
                done += 1
        except LockHeld as error:
            held.append(error)
    if held and not done:
        raise held[0]
    return failed


def _has_to_run(job: Job, work: Work) -> bool:
    is_time = job.is_set(work.settings) and is_due(job, last_runs(work.engine).get(job.name), work.now_us)
    return is_time and job.needed(work)


def run_job(job: Job, work: Work, now: Callable[[], int]) -> str | None:
    """Runs one job and records it; the line that says why it failed, or None."""
    try:
        run_id = begin(work.engine, job.name, work.now_us)
    except DBAPIError as problem:
        return f"{job.name}: {told(problem)}"
    rows, error = None, None
    try:
        with time_limit(job.limit_s, job.name):
            rows = job.run(work)
            if job.feeds:
                run_drain(msgspec.structs.replace(work, now_us=now()))
    except Exception as problem:
        error = told(problem)
    except BaseException:
        error = "stopped before its end"
        raise
    finally:
        end(work.engine, run_id, now(), rows, error)
    return error and f"{job.name}: {error}"


def told(problem: Exception) -> str:
    """One line that says what went wrong."""
    kind = "" if isinstance(problem, CallmeterError) else type(problem).__name__ + ": "
    return " ".join(f"{kind}{problem}".split())[:MAX_ERROR_CHARS]


@contextmanager
def time_limit(seconds: int, what: str) -> Iterator[None]:
    """Raises JobTimeout in the middle of what runs longer. Works in the main thread only, as signals do."""

    def on_alarm(number: int, frame: FrameType | None) -> None:
        raise JobTimeout(f"{what} did not end within {seconds} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
