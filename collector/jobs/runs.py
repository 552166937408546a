"""What is kept of the runs of jobs, and when a job is due."""

import msgspec
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import Engine

from collector.jobs.work import HOUR_S, MINUTE_S, Job
from collector.ledger.engines import writing
from collector.ledger.questions import jobs
from collector.ledger.questions.ask import rows
from collector.ledger.schema import job_runs

KEPT_RUNS = 200  # of each job


class Run(msgspec.Struct, frozen=True):
    """One run of a job; `ended_at` is None while it runs, or for ever when it was killed."""

    name: str
    started_at: int
    ended_at: int | None
    rows: int | None
    error: str | None


def last_runs(engine: Engine) -> dict[str, Run]:
    """The newest run of each job that ever ran."""
    return {row.name: Run(*row) for row in rows(engine, jobs.last_runs())}


def runs_since(engine: Engine, name: str, since_us: int) -> int:
    """How many runs of a job began since an instant, of the KEPT_RUNS newest; those that were killed count."""
    question = select(func.count()).where(job_runs.c.name == name, job_runs.c.started_at >= since_us)
    with engine.connect() as connection:
        return connection.execute(question).scalar_one()


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


def begin(engine: Engine, name: str, now_us: int) -> int:
    """Records that a run begins; its id."""
    with writing(engine).begin() as connection:
        added = insert(job_runs).values(name=name, started_at=now_us).returning(job_runs.c.id)
        return int(connection.execute(added).scalar_one())


def end(engine: Engine, run_id: int, now_us: int, done: int | None, error: str | None) -> None:
    """Records how a run ended, and forgets the oldest runs of its job."""
    with writing(engine).begin() as connection:
        own = job_runs.c.id == run_id
        connection.execute(update(job_runs).where(own).values(ended_at=now_us, rows=done, error=error))
        name = select(job_runs.c.name).where(own).scalar_subquery()
        of_job = select(job_runs.c.id).where(job_runs.c.name == name).order_by(job_runs.c.id.desc())
        oldest_kept = connection.scalar(of_job.offset(KEPT_RUNS).limit(1))
        if oldest_kept is not None:
            connection.execute(delete(job_runs).where(job_runs.c.name == name, job_runs.c.id <= oldest_kept))


def end_newest(engine: Engine, name: str, now_us: int, error: str) -> None:
    """Records how the newest run of a job ended, when it could not do so itself."""
    with writing(engine).begin() as connection:
        newest = select(func.max(job_runs.c.id)).where(job_runs.c.name == name).scalar_subquery()
        own = (job_runs.c.id == newest, job_runs.c.ended_at.is_(None))
        connection.execute(update(job_runs).where(*own).values(ended_at=now_us, error=error))
