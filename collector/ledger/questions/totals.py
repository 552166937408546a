"""Everything that was ever counted, in few numbers: what a monitoring system asks for again and again."""

from sqlalchemy import func, select

from collector.ledger.questions.ask import Question
from collector.ledger.questions.calls import name_of
from collector.ledger.questions.terms import zone_id
from collector.ledger.schema import day_totals, health

_SUMS = ("ok", "provider_fault", "rate_limited", "other", "probe_ok", "probe_fault")


def calls_by_outcome() -> Question:
    """One row for each day and outcome: outcome (its code), calls, cost (picodollars); more of them may be too much for
    64 bits."""
    u = day_totals.c
    sums = (func.sum(u.calls).label("calls"), func.sum(u.cost).label("cost"))
    return select(u.outcome, *sums).where(u.zone == zone_id("UTC"), u.dimension == 0).group_by(u.day, u.outcome)


def attempts_by_provider() -> Question:
    """One row for each provider: provider, ok, provider_fault, rate_limited, other, probe_ok, probe_fault."""
    sums = [func.sum(health.c[name]).label(name) for name in _SUMS]
    inner = select(health.c.provider, *sums).where(health.c.grain == zone_id("UTC")).group_by(health.c.provider)
    found = inner.subquery("sums")
    return select(name_of(found.c.provider).label("provider"), *(found.c[name] for name in _SUMS))


def times_by_provider() -> Question:
    """One row per day cell that has times: provider, latency, first_token (compact histograms of milliseconds)."""
    h = health.c
    timed = h.latency.is_not(None) | h.first_token.is_not(None)
    return select(name_of(h.provider).label("provider"), h.latency, h.first_token).where(
        h.grain == zone_id("UTC"), timed
    )
