"""What is held against the sums of providers: usage by UTC day, provider and model, what own keys paid, invoices."""

from collections.abc import Collection

from sqlalchemy import func, literal_column, select

from collector.core.periods import DAY_S, SECOND_US, Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.cells import choose
from collector.ledger.questions.terms import plain
from collector.ledger.schema import calls, invoices, names


def reported_per_day(period: Period, zones: Collection[str]) -> Question:
    """Per local day, provider and model ("" for none): calls, reported_calls, reported_cost (picodollars)."""
    source = choose(Selection(), period, zones, ("provider", "model"), None)
    amounts = ("calls", "reported_calls", "reported_cost")
    keys = [
        source.day.label("day"),
        source.key("provider").label("provider_key"),
        source.key("model").label("model_key"),
    ]
    sums = [func.sum(source.amount(name)).label(name) for name in amounts]
    grouped = select(*keys, *sums).where(source.where).group_by(*(literal_column(key.name) for key in keys))
    inner = grouped.subquery("sums")
    provider, model = names.alias("providers"), names.alias("models")
    joined = inner.outerjoin(provider, provider.c.id == inner.c.provider_key)
    joined = joined.outerjoin(model, model.c.id == inner.c.model_key)
    labels = [
        func.coalesce(table.c.name, "").label(label) for table, label in ((provider, "provider"), (model, "model"))
    ]
    return select(inner.c.day, *labels, *(inner.c[name] for name in amounts)).select_from(joined)


def own_keys_per_day(period: Period) -> Question:
    """Per UTC day, provider and model ("" for none) of the calls that an own key paid upstream: calls, cost,
    reported_cost, own_key_cost (picodollars). Read from rows: nothing of what is pruned."""
    c = calls.c
    within = (c.own_key_cost.is_not(None), c.started_at >= period.start_us, c.started_at < period.end_us)
    day = (c.started_at // plain(DAY_S * SECOND_US)).label("day")
    provider, model = names.alias("providers"), names.alias("models")
    joined = calls.outerjoin(provider, provider.c.id == c.provider).outerjoin(model, model.c.id == c.model)
    keys = [func.coalesce(table.c.name, "").label(label) for table, label in ((provider, "provider"), (model, "model"))]
    amounts = {"cost": func.coalesce(c.cost, 0), "reported_cost": func.coalesce(c.reported_cost, c.own_key_cost)}
    sums = [func.sum(value).label(label) for label, value in (amounts | {"own_key_cost": c.own_key_cost}).items()]
    grouped = select(day, *keys, func.count().label("calls"), *sums).select_from(joined).where(*within)
    return grouped.group_by(day, *keys)


def invoiced(first_day: int, end_day: int) -> Question:
    """Invoice lines whose days lie within [first_day, end_day): provider, first_day, end_day, model ("": all), kind,
    invoice_id, usd (exact decimal text)."""
    i = invoices.c
    columns = (i.provider, i.first_day, i.end_day, i.model, i.kind, i.invoice_id, i.usd)
    return (
        select(*columns).where(i.first_day >= first_day, i.end_day <= end_day).order_by(*invoices.primary_key.columns)
    )
