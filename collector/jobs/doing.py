"""What is due, and how one job is done: held by its lock, limited in time, recorded.

`callmeter collect` (cron) and `callmeter up` do the same jobs. Each has a lock of its own, so that rounds may overlap
and none waits for a slow job. One that fails is recorded and does not stop the others.
"""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import msgspec
from sqlalchemy.exc import DBAPIError

from collector.core.errors import CallmeterError, LockHeld, UsageError
from collector.jobs.books import run_drain
from collector.jobs.runs import Run, begin, end, is_due, last_runs
from collector.jobs.work import Job, Work
from collector.ledger.engines import open_ledger
from collector.ledger.questions.jobs import STOPPED
from collector.locks import hold
from collector.settings import Settings

LOCKS = "locks"  # a folder in the data directory
MAX_ERROR_CHARS = 2_000


class JobTimeout(BaseException):
    """A job did not end within its time limit. Nothing but what set the limit takes it for a failure of its own."""


class Ending(msgspec.Struct, frozen=True):
    """How a job ended: a line that says why it failed, or None; where another process does it, what says so."""

    name: str
    error: str | None = None
    is_held: bool = False


def make_ready(settings: Settings, jobs: Sequence[Job] = ()) -> None:
    """Raises UsageError when there is no data directory, or when nothing asks for one of the jobs."""
    if not settings.data_dir.is_dir():
        raise UsageError(f"the data directory {settings.data_dir} does not exist: create it or run `callmeter up`")
    for job in jobs:
        if not job.is_set(settings):
            raise UsageError(f"the job {job.name} has nothing to do: set {job.setting} in callmeter.toml")
    (settings.data_dir / LOCKS).mkdir(exist_ok=True)


def due(settings: Settings, now: Callable[[], int], jobs: Sequence[Job]) -> list[Job]:
    """The jobs that have to run now; `now` gives microseconds UTC. Makes the ledger where there is none."""
    make_ready(settings)
    engine = open_ledger(settings.ledger_url, create=True)
    try:
        work, last = Work(settings, engine, now()), last_runs(engine)
        return [job for job in jobs if _has_to_run(job, work, last.get(job.name))]
    finally:
        engine.dispose()


def perform(base: Work, job: Job, now: Callable[[], int], *, is_asked: bool = False) -> Ending:
    """Does one job if it still has to be done, when its lock is had, or is asked for."""
    try:
        with hold(base.settings.data_dir / LOCKS / f"{job.name}.lock", job.name):
            work = msgspec.structs.replace(base, now_us=now())
            if is_asked or _has_to_run(job, work, last_runs(work.engine).get(job.name)):
                return Ending(job.name, _run(job, work, now))
            return Ending(job.name)
    except LockHeld as held:
        return Ending(job.name, str(held), is_held=True)
    except (CallmeterError, DBAPIError, OSError) as problem:
        return Ending(job.name, f"{job.name}: {told(problem)}")


def _has_to_run(job: Job, work: Work, last: Run | None) -> bool:
    if not job.is_set(work.settings) or not is_due(job, last, work.now_us):
        return False
    try:
        return job.needed(work)
    except (CallmeterError, DBAPIError):
        return True  # its run will tell what is wrong


def _run(job: Job, work: Work, now: Callable[[], int]) -> str | None:
    """Runs one job and records it; the line that says why it failed, or None."""
    run_id = begin(work.engine, job.name, work.now_us)
    rows, error = None, None
    try:
        with time_limit(job.limit_s, job.name):
            rows = job.run(work)
            if job.feeds:
                run_drain(msgspec.structs.replace(work, now_us=now()))
    except (Exception, JobTimeout) as problem:
        error = told(problem)
    except BaseException:
        with suppress(DBAPIError):
            end(work.engine, run_id, now(), None, STOPPED)
        raise
    try:
        end(work.engine, run_id, now(), rows, error)
    except DBAPIError as problem:
        error = error or told(problem)
    return error and f"{job.name}: {error}"


def told(problem: Exception | JobTimeout) -> str:
    """One line that says what went wrong."""
    kind = "" if isinstance(problem, CallmeterError | JobTimeout) else type(problem).__name__ + ": "
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
