"""Alerts, who was told of them, and what is silenced."""

from sqlalchemy import and_, func, or_, select

from collector.ledger.questions.ask import Question
from collector.ledger.questions.jobs import STOPPED
from collector.ledger.schema import alerts, deliveries, job_runs, silences

MAX_LISTED = 500


def lasting() -> Question:
    """The alerts that last, the newest first: the columns of the table alerts."""
    return select(alerts).where(alerts.c.ended_at.is_(None)).order_by(alerts.c.began_at.desc(), alerts.c.id.desc())


def since(start_us: int) -> Question:
    """The alerts that last or ended since an instant, the newest first, MAX_LISTED at most."""
    a = alerts.c
    question = select(alerts).where(or_(a.ended_at.is_(None), a.ended_at >= start_us))
    return question.order_by(a.began_at.desc(), a.id.desc()).limit(MAX_LISTED)


def undelivered() -> Question:
    """Deliveries that wait or were given up: alert, text (the alert's), event, channel, tries, error, next_at."""
    d = deliveries.c
    question = select(d.alert, alerts.c.text, d.event, d.channel, d.tries, d.error, d.next_at)
    return (
        question.join(alerts, alerts.c.id == d.alert).where(d.done_at.is_(None)).order_by(d.next_at).limit(MAX_LISTED)
    )


def silenced(now_us: int) -> Question:
    """What is silenced at an instant: the columns of the table silences."""
    return select(silences).where(silences.c.until > now_us).order_by(silences.c.until)


def newest_runs(name: str, most: int) -> Question:
    """The newest runs of a job that have ended by themselves, the last one first: started_at, ended_at, error."""
    r = job_runs.c
    has_ended = and_(r.ended_at.is_not(None), func.coalesce(r.error, "") != STOPPED)
    question = select(r.started_at, r.ended_at, r.error).where(r.name == name, has_ended)
    return question.order_by(r.id.desc()).limit(most)
