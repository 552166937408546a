"""JOBS: the work that comes due by itself. Each is idempotent and bounded in time: one that was killed is redone."""

from collector.core.errors import UsageError
from collector.jobs import books, keep
from collector.jobs.work import DAY_S, HOUR_S, MINUTE_S, Job

JOBS = (
    Job("zone", 0, "make the day cells of a newly set time zone", HOUR_S, books.run_declare, needed=books.has_new_zone),
    Job("drain", MINUTE_S, "store what gateways and others have journalled", 10 * MINUTE_S, books.run_drain),
    Job(
        "retention",
        DAY_S,
        "prune calls beyond retention_days or retention_mb, and old probes",
        HOUR_S,
        keep.run_retention,
        plan=keep.plan_retention,
    ),
    Job("check", DAY_S, "prove that calls, sums, prices, closed months and the journal agree", HOUR_S, books.run_check),
)


def job_named(name: str) -> Job:
    """The job of that name. Raises UsageError naming those there are."""
    for job in JOBS:
        if job.name == name:
            return job
    raise UsageError(f"there is no job {name!r}: the jobs are {', '.join(job.name for job in JOBS)}")
