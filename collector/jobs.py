"""JOBS: the work that comes due by itself. `callmeter collect` (cron) and `callmeter up` run the same table.

Each job is idempotent and bounded in time, so a run that was killed is simply done again. One that fails is recorded
and does not stop the others.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Engine

from collector.core.errors import CallmeterError, LockHeld, UsageError
from collector.ledger.book import load_book
from collector.ledger.check import check
from collector.ledger.engines import open_ledger, writing
from collector.ledger.ingest import drain
from collector.ledger.rollups import Progress, declare
from collector.ledger.schema import job_runs, names
from collector.locks import hold
from collector.settings import Settings

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
KEPT_RUNS = 200  # of each job
LOCK_WAIT_S = 10.0


class Work(msgspec.Struct, frozen=True):
    """What a job is given."""

    settings: Settings
    engine: Engine
    now_us: int
    progress: Progress | None = None


class Job(msgspec.Struct, frozen=True):
    """One job. `run` returns how many rows it wrote or read; `needed` says whether there is anything to do at all."""

    name: str
    period_s: int
    summary: str
    limit_s: int
    run: Callable[[Work], int]
    needed: Callable[[Work], bool] = lambda work: True


class Run(msgspec.Struct, frozen=True):
    """One run of a job; `ended_at` is None while it runs, or for ever when it was killed."""

    name: str
    started_at: int
    ended_at: int | None
    rows: int | None
    error: str | None


class JobTimeout(CallmeterError):
    """A job did not end within its time limit."""


def _drain(work: Work) -> int:
    """Stores what is journalled. While another process drains there is nothing left to do here."""
    book, settings = load_book(work.settings), work.settings
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            done = drain(
                work.engine, settings.journal_dir, book, settings.limits, now_us=work.now_us, zones=settings.zones
            )
            return int(done.stored + done.merged)
        except LockHeld:
            if time.monotonic() > deadline:
                return 0
            time.sleep(0.2)


def _check(work: Work) -> int:
    differences = check(work.engine, work.settings.journal_dir, work.progress)
    if differences:
        raise CallmeterError(f"{len(differences)} differences, first: {differences[0]}: run `callmeter check`")
    return 0


def _has_new_zone(work: Work) -> bool:
    with work.engine.connect() as connection:
        kept = set(connection.scalars(select(names.c.name).where(names.c.kind == "zone")))
    return not work.settings.zones <= kept


def _declare(work: Work) -> int:
    with writing(work.engine).begin() as connection:
        return len(declare(connection, work.settings.zones, work.progress))


JOBS = (
    Job("zone", 0, "make the day cells of a newly set time zone", HOUR_S, _declare, _has_new_zone),
    Job("drain", MINUTE_S, "store what gateways and others have journalled", 10 * MINUTE_S, _drain),
    Job("check", DAY_S, "prove that calls, sums, prices and the journal agree", HOUR_S, _check),
)


def job_named(name: str) -> Job:
    """The job of that name. Raises UsageError naming those there are."""
    for job in JOBS:
        if job.name == name:
            return job
    raise UsageError(f"there is no job {name!r}: the jobs are {', '.join(job.name for job in JOBS)}")


def last_runs(engine: Engine) -> dict[str, Run]:
    """The newest run of each job that ever ran."""
    newest = select(func.max(job_runs.c.id)).group_by(job_runs.c.name)
    columns = [job_runs.c[field.name] for field in msgspec.structs.fields(Run)]
    with engine.connect() as connection:
        rows = connection.execute(select(*columns).where(job_runs.c.id.in_(newest))).all()
    return {row.name: Run(*row) for row in rows}


def next_at(job: Job, last: Run | None) -> int | None:
    """When a job is due, microseconds UTC; None for at once. A failed or killed run is tried again within the hour."""
    if last is None:
        return None
    went_well = last.ended_at is not None and last.error is None
    wait_s = job.period_s if went_well else min(job.period_s, HOUR_S)
    return last.started_at + wait_s * 1_000_000


def is_due(job: Job, last: Run | None, now_us: int) -> bool:
    """True when the period has gone by, once however many were missed, or when the clock was set back."""
    at = next_at(job, last)
    slack_us = MINUTE_S * 500_000  # cron's minutes are not exact: half a minute early is due
    return at is None or last is None or now_us >= at - slack_us or now_us < last.started_at


def collect(
    settings: Settings, now: Callable[[], int], jobs: Sequence[Job] | None = None, progress: Progress | None = None
) -> list[str]:
    """Does what is due, or exactly `jobs`; returns one line for each that failed.

    `now` gives microseconds UTC; `progress` is told how far long work is. Raises LockHeld when another one collects.
    """
    if not settings.data_dir.is_dir():
        raise UsageError(f"the data directory {settings.data_dir} does not exist: create it or run `callmeter up`")
    with hold(settings.data_dir / "collect.lock", "collect"):
        engine = open_ledger(settings.ledger_url, create=True)
        try:
            return [line for line in _run_each(Work(settings, engine, 0, progress), now, jobs) if line]
        finally:
            engine.dispose()


def _run_each(base: Work, now: Callable[[], int], jobs: Sequence[Job] | None) -> Iterator[str | None]:
    last = last_runs(base.engine)
    for job in JOBS if jobs is None else jobs:
        work = msgspec.structs.replace(base, now_us=now())
        if jobs is not None or (is_due(job, last.get(job.name), work.now_us) and job.needed(work)):
            yield run_job(job, work, now)


def run_job(job: Job, work: Work, now: Callable[[], int]) -> str | None:
    """Runs one job and records it; the line that says why it failed, or None."""
    run_id = _begin(work.engine, job.name, work.now_us)
    rows, error = None, None
    try:
        with time_limit(job.limit_s, job.name):
            rows = job.run(work)
    except Exception as problem:
        error = " ".join(
            f"{'' if isinstance(problem, CallmeterError) else type(problem).__name__ + ': '}{problem}".split()
        )
    except BaseException:
        error = "stopped before its end"
        raise
    finally:
        _end(work.engine, run_id, now(), rows, error)
    return error and f"{job.name}: {error}"


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


def _begin(engine: Engine, name: str, now_us: int) -> int:
    with writing(engine).begin() as connection:
        added = insert(job_runs).values(name=name, started_at=now_us).returning(job_runs.c.id)
        return int(connection.execute(added).scalar_one())


def _end(engine: Engine, run_id: int, now_us: int, rows: int | None, error: str | None) -> None:
    with writing(engine).begin() as connection:
        own = job_runs.c.id == run_id
        connection.execute(update(job_runs).where(own).values(ended_at=now_us, rows=rows, error=error))
        name = select(job_runs.c.name).where(own).scalar_subquery()
        of_job = select(job_runs.c.id).where(job_runs.c.name == name).order_by(job_runs.c.id.desc())
        oldest_kept = connection.scalar(of_job.offset(KEPT_RUNS).limit(1))
        if oldest_kept is not None:
            connection.execute(delete(job_runs).where(job_runs.c.name == name, job_runs.c.id <= oldest_kept))
