"""The work that comes due by itself.

1. work, runs: what a job is, what is kept of its runs, when it is due
2. table: JOBS; the other modules hold what the jobs do
3. doing, crew: one job done; jobs side by side, each in a process of its own
4. rounds, loop: every job that is due, once, and again and again
"""

from collector.jobs.rounds import collect
from collector.jobs.runs import KEPT_RUNS, Run, is_due, last_runs, next_at
from collector.jobs.table import JOBS, job_named
from collector.jobs.work import Job, Work

__all__ = ["JOBS", "KEPT_RUNS", "Job", "Run", "Work", "collect", "is_due", "job_named", "last_runs", "next_at"]
