"""What providers say of themselves in sums: kept apart from usage and spend, to be held against them."""

from sqlalchemy import func, select

from collector.core.meters import COMMON_METERS, METERS
from collector.ledger.questions.ask import Question
from collector.ledger.schema import provider_sums

_AMOUNTS = ("requests", *(METERS[name].column for name in COMMON_METERS), "cost")


def billed(first_day: int, end_day: int) -> Question:
    """The sums of the days [first_day, end_day), counted from 1970 UTC, by source, day, provider and model.

    Columns: source (the pull), day, provider, model ('': not by model), requests, the columns of COMMON_METERS,
    cost (picodollars), read_at (the newest reading). NULL: the source does not state it. Sources tell of the same
    usage in different ways: never add two of them up.
    """
    s = provider_sums.c
    keys = (s.source, s.day, s.provider, s.model)
    sums = (func.sum(s[name]).label(name) for name in _AMOUNTS)
    question = select(*keys, *sums, func.max(s.read_at).label("read_at"))
    return question.where(s.day >= first_day, s.day < end_day).group_by(*keys).order_by(*keys)


def billed_lines(first_day: int, end_day: int) -> Question:
    """The same sums as they were told: by key and line item too. Columns: those of the table provider_sums."""
    s = provider_sums.c
    question = select(provider_sums).where(s.day >= first_day, s.day < end_day)
    return question.order_by(*provider_sums.primary_key.columns)
