"""Incidents of providers' status pages."""

from sqlalchemy import or_, select

from collector.core.periods import Period
from collector.ledger.questions.ask import Question
from collector.ledger.schema import incidents


def incidents_in(period: Period) -> Question:
    """The incidents that lasted at some instant of a period, the newest first: the columns of the table incidents."""
    i = incidents.c
    lasted = or_(i.ended_at.is_(None), i.ended_at > period.start_us)
    return select(incidents).where(i.started_at < period.end_us, lasted).order_by(i.started_at.desc(), i.page, i.id)
