"""Users, who are many: what each used in a period, and those that lead."""

from collections.abc import Mapping

from sqlalchemy import CompoundSelect, select, union, union_all

from collector.core.periods import Period, day_number
from collector.ledger.questions.ask import Question
from collector.ledger.questions.terms import Number, summed, zone_id
from collector.ledger.schema import USER_SPANS, user_spans

LEADERS = 10  # so many users by tokens, and by cost, have lines of their own where a question asks for no more


def leading_users(period: Period, most: int) -> CompoundSelect[tuple[int]]:
    """The ids of the users with most tokens and of those that cost most."""
    u = user_spans.c
    sums = user_sums(period, {"tokens": u.tokens_in + u.tokens_out, "cost": u.microdollars})
    ranked = sums.cte("ranked")
    first = (
        select(ranked.c.user).order_by(ranked.c[by].desc(), ranked.c.user).limit(most) for by in ("tokens", "cost")
    )
    return union(*(select(each.subquery().c.user) for each in first))


def user_sums(period: Period, sums: Mapping[str, Number]) -> Question:
    """Sums of columns of `user_spans` by user, over whole days in a declared zone."""
    u, zone = user_spans.c, zone_id(period.zone)
    of_spans = select(u.user, *(value.label(label) for label, value in sums.items())).where(u.zone == zone)
    parts = (of_spans.where(u.days == length, u.day >= first, u.day < end) for length, first, end in _spans(period))
    every = union_all(*parts).subquery("spans")
    return select(every.c.user, *summed({label: every.c[label] for label in sums})).group_by(every.c.user)


def _spans(period: Period) -> list[tuple[int, int, int]]:
    """The spans that make up a period: of which length, and from which day up to which other one they begin.

    At least one; of a period without days, such as a date that the zone skipped, it is none of any day.
    """
    (single, longer), zone = USER_SPANS, period.zone
    first, end = (day_number(us, zone) for us in (period.start_us, period.end_us))
    begin = min(-(-first // longer) * longer, end)
    until = max(end // longer * longer, begin)
    spans = ((single, first, begin), (longer, begin, until), (single, until, end))
    return [it for it in spans if it[1] < it[2]] or [spans[0]]
