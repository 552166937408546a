"""What is held against the sums of providers: usage by UTC day, provider and model, and invoices as entered."""

from collections.abc import Collection

from sqlalchemy import func, literal_column, select

from collector.core.periods import Period
from collector.core.selection import Selection
from collector.ledger.questions.ask import Question
from collector.ledger.questions.cells import choose
from collector.ledger.schema import invoices, names


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


def invoiced(first_day: int, end_day: int) -> Question:
    """Invoice lines whose days lie within [first_day, end_day): provider, first_day, end_day, model ("": all), kind,
    invoice_id, usd (exact decimal text)."""
    i = invoices.c
    columns = (i.provider, i.first_day, i.end_day, i.model, i.kind, i.invoice_id, i.usd)
    return (
        select(*columns).where(i.first_day >= first_day, i.end_day <= end_day).order_by(*invoices.primary_key.columns)
    )
