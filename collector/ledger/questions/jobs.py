"""What is kept of the runs of jobs."""

from sqlalchemy import func, select

from collector.ledger.questions.ask import Question
from collector.ledger.schema import job_runs

STOPPED = "stopped before its end"  # the error of a run that says nothing of its job


def last_runs() -> Question:
    """The newest run of each job that ever ran: name, started_at, ended_at (None: not ended), rows, error."""
    r = job_runs.c
    newest = select(func.max(r.id)).group_by(r.name)
    return select(r.name, r.started_at, r.ended_at, r.rows, r.error).where(r.id.in_(newest)).order_by(r.name)
