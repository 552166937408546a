"""Users, who are many: what each used in a period, and those that lead."""

from collections.abc import Mapping

from sqlalchemy import CompoundSelect, select, union, union_all

from collector.core.periods import Period, day_number
from collector.ledger.questions.ask import Question
from collector.ledger.questions.terms import Number, plain, summed, zone_id
from collector.ledger.schema import USER_BLOCK_DAYS, user_totals

LEADERS = 10  # so many users by tokens, and by cost, have lines of their own where a question asks for no more
MICRODOLLAR = 1_000_000  # picodollars


def leading_users(period: Period, most: int) -> CompoundSelect[tuple[int]]:
    """The ids of the users with most tokens and of those that cost most."""
    u = user_totals.c
    sums = user_sums(period, {"tokens": u.tokens_in + u.tokens_out, "cost": u.cost // plain(MICRODOLLAR)})
    ranked = sums.cte("ranked")
    first = (
        select(ranked.c.user).order_by(ranked.c[by].desc(), ranked.c.user).limit(most) for by in ("tokens", "cost")
    )
    return union(*(select(each.subquery().c.user) for each in first))


def user_sums(period: Period, sums: Mapping[str, Number]) -> Question:
    """Sums of columns of `user_totals` by user, over whole days in a declared zone.

    Money in whole MICRODOLLARs: many days of picodollars could add up to more than an engine holds.
    """
    u, first, end = user_totals.c, day_number(period.start_us, period.zone), day_number(period.end_us, period.zone)
    parts = []
    for block in range(first // USER_BLOCK_DAYS, (end - 1) // USER_BLOCK_DAYS + 1):  # each in the order of its users
        start, until = block * USER_BLOCK_DAYS, (block + 1) * USER_BLOCK_DAYS
        cut = [*([u.day >= first] if start < first else []), *([u.day < end] if end < until else [])]
        part = select(u.user, *summed(sums)).where(u.zone == zone_id(period.zone), u.block == block, *cut)
        parts.append(part.group_by(u.user))
    every = union_all(*parts).subquery("blocks")
    return select(every.c.user, *summed({label: every.c[label] for label in sums})).group_by(every.c.user)
