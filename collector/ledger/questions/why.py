"""Why a call costs what it costs, beside its row: who told of it, and what was changed since; and for a total, what
providers say that they charged.

`call_id` is 32 hex digits everywhere; another text raises UsageError.
"""

from collections.abc import Collection

from sqlalchemy import case, func, literal, literal_column, select

from collector.core.periods import DAY_S, SECOND_US, Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.calls import id_bytes, name_of
from collector.ledger.questions.cells import choose, chosen
from collector.ledger.questions.terms import plain
from collector.ledger.schema import adjustments, batches, calls, open_calls, price_sets, witnesses


def where_from(call_id: str) -> Question:
    """One row for a call: is_stated (its cost came with it: 0 or 1), stored_at (when its row was last written), plan
    (canonical JSON)."""
    c = calls.c
    return (
        select(func.coalesce(c.cost_stated, 0).label("is_stated"), batches.c.stored_at, name_of(c.plan).label("plan"))
        .select_from(calls.outerjoin(batches, batches.c.id == c.batch))
        .where(c.id == id_bytes(call_id))
    )


def witnesses_of(call_id: str) -> Question:
    """Who told of a call, where more than one did: source, id (16 bytes, as that source named it), record (JSON)."""
    w = witnesses.c
    question = select(name_of(w.source).label("source"), w.id, w.record).where(w.call_id == id_bytes(call_id))
    return question.order_by(w.id, w.source)


def adjustments_of(call_id: str) -> Question:
    """What `reprice` changed of a call, oldest first.

    Columns: at, who, why, old_cost, new_cost (None: unpriced), old_price, new_price (price ids), old_reason,
    new_reason, old_stated (1: the old cost had come with the call), is_superseded (1: a better record of the call
    came later, and it was charged anew).
    """
    a = adjustments.c
    return (
        select(
            a.at,
            name_of(a.who).label("who"),
            name_of(a.why).label("why"),
            a.old_cost,
            a.new_cost,
            *(
                select(price_sets.c.digest).where(price_sets.c.id == a[name]).scalar_subquery().label(name)
                for name in ("old_price", "new_price")
            ),
            name_of(a.old_reason).label("old_reason"),
            name_of(a.new_reason).label("new_reason"),
            a.old_stated,
            case((a.superseded.is_(None), 0), else_=1).label("is_superseded"),
        )
        .where(a.call_id == id_bytes(call_id))
        .order_by(a.n)
    )


def priced_anew(period: Period, after_us: int, up_to_us: int | None) -> Question:
    """What `reprice` changed of a period's calls after an instant, and up to another one where there is one.

    Columns: who, why, calls, cost (picodollars that it added), by UTC day of the calls; what a better record of the
    call has undone is left out.
    """
    a = adjustments.c
    who, why = name_of(a.who).label("who"), name_of(a.why).label("why")
    added = func.coalesce(a.new_cost, 0) - func.coalesce(a.old_cost, 0)
    within = [calls.c.started_at >= period.start_us, calls.c.started_at < period.end_us]
    when = [a.at > after_us] if up_to_us is None else [a.at > after_us, a.at <= up_to_us]
    return (
        select(who, why, func.count(a.call_id.distinct()).label("calls"), func.sum(added).label("cost"))
        .select_from(adjustments.join(calls, calls.c.id == a.call_id))
        .where(*within, *when, a.superseded.is_(None))
        .group_by(a.who, a.why, calls.c.started_at // plain(DAY_S * SECOND_US))
        .order_by(func.min(a.at))
    )


def known_as(other_id: str) -> Question:
    """What an id stands for that is no call's: rows of what ("merged" or "open") and call_id (16 bytes)."""
    raw = id_bytes(other_id)
    merged = select(literal("merged").label("what"), witnesses.c.call_id).where(witnesses.c.id == raw)
    opened = select(literal("open"), open_calls.c.call_id).where(open_calls.c.call_id == raw)
    both = merged.union_all(opened).subquery()
    return select(both.c.what, both.c.call_id)


def reported_by_price(selection: Selection, period: Period, zones: Collection[str]) -> Question:
    """What providers say that they charged for the calls of a selection, by price set and local day.

    Columns: day, price (the set's digest, "" for none), unpriced (0 or 1), reported_calls (for how many calls they say
    it), reported_cost. Read from the same sums as `items.sums_by_price`.
    """
    source = choose(selection, period, zones, (), None)
    sums = (
        select(
            source.day.label("day"),
            source.key("price").label("price_key"),
            source.unpriced.label("unpriced"),
            *(func.sum(source.amount(name)).label(name) for name in ("reported_calls", "reported_cost")),
        )
        .where(chosen(selection, source), source.amount("reported_calls") > 0)
        .group_by(*map(literal_column, ("day", "price_key", "unpriced")))
        .subquery("sums")
    )
    digest = func.coalesce(price_sets.c.digest, "").label("price")
    named = sums.outerjoin(price_sets, price_sets.c.id == sums.c.price_key)
    return select(sums.c.day, digest, sums.c.unpriced, sums.c.reported_calls, sums.c.reported_cost).select_from(named)
