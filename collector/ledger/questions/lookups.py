"""Calls that a provider can be asked about, and the models that were used at it."""

from sqlalchemy import select

from collector.core.calls import QUALITIES, Quality
from collector.ledger.questions.ask import Question
from collector.ledger.questions.terms import ids_of
from collector.ledger.schema import calls, health, names, witnesses

LOOKUP = "lookup"


def partial_calls(provider: str, since_us: int, until_us: int, most: int) -> Question:
    """The newest calls at a provider with a response id and partial usage that were not looked up: column origin_id."""
    c = calls.c
    looked_up = select(witnesses.c.call_id).where(witnesses.c.source.in_(ids_of("source", [LOOKUP])))
    return (
        select(c.origin_id)
        .where(c.started_at >= since_us, c.started_at < until_us, c.origin_id.is_not(None))
        .where(c.quality == QUALITIES.index(Quality.PARTIAL) + 1, c.provider.in_(ids_of("provider", [provider])))
        .where(c.id.not_in(looked_up))
        .order_by(c.started_at.desc())
        .limit(most)
    )


def used_models(provider: str, since_us: int) -> Question:
    """The models with attempts at a provider since an instant: column model."""
    h = health.c
    at = h.provider.in_(ids_of("provider", [provider]))
    found = select(h.model).where(at, h.grain == 1, h.bucket >= since_us // 3_600_000_000).distinct().subquery()
    return select(names.c.name.label("model")).join(found, found.c.model == names.c.id).order_by(names.c.name)
