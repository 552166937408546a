"""Prices that were pulled: those in force, those that wait, what the last readings of days cover."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import Engine, func, select

from collector.core.prices import PriceSet
from collector.core.prices.pulled import Standing, dated
from collector.core.told import IN_FORCE, PulledPrice
from collector.ledger.questions.ask import AnyRow, Question, rows
from collector.ledger.schema import meta, pulled_prices

READ_THROUGH = "sums_read:"  # meta, source and provider: the day before which all sums were read once
_sets = msgspec.json.Decoder(tuple[dict[str, object], ...])
_texts = msgspec.json.Decoder(tuple[str, ...])


def entries(state: str | None = None) -> Question:
    """Pulled prices, of one state or all, the newest first: the columns of the table pulled_prices."""
    question = select(pulled_prices).order_by(pulled_prices.c.read_at.desc(), pulled_prices.c.id)
    return question if state is None else question.where(pulled_prices.c.state == state)


def entry_of(row: AnyRow) -> PulledPrice:
    """A row of `entries` as the value that was stored."""
    fields = (row.id, row.provider, row.model, row.read_at, _sets.decode(row.sets), _texts.decode(row.changes))
    return PulledPrice(*fields, row.state, row.why)


def price_sets(engine: Engine) -> list[PriceSet]:
    """The price sets of all entries in force, each from when it was read until the next one was."""
    return [found for some in _by_model(map(entry_of, rows(engine, entries(IN_FORCE)))) for found in dated(some)]


def standings(engine: Engine) -> dict[tuple[str, str], Standing]:
    """What is known of each model at each provider, by (provider, model)."""
    found = {}
    for some in _by_model(map(entry_of, rows(engine, entries()))):
        newest = max((each for each in some if each.state == IN_FORCE), key=lambda each: each.read_at, default=None)
        sets = tuple(PriceSet.from_plain(plain) for plain in newest.sets) if newest else ()
        others = frozenset(each.id for each in some if each.state != IN_FORCE)
        found[some[0].provider, some[0].model] = Standing(sets, newest.id if newest else "", others)
    return found


def stamp(engine: Engine) -> tuple[int, int]:
    """Changes whenever the prices in force do."""
    p = pulled_prices.c
    question = select(func.count().label("entries"), func.coalesce(func.max(p.decided_at), 0).label("decided_at"))
    row = rows(engine, question)[0]
    return row.entries, row.decided_at


def read_through(engine: Engine, source: str, provider: str) -> int | None:
    """The day before which all sums of a source were read once; None when none ever were."""
    key = f"{READ_THROUGH}{source}:{provider}"
    found = rows(engine, select(meta.c.value).where(meta.c.key == key))
    return int(found[0].value) if found else None


def _by_model(some: Iterable[PulledPrice]) -> list[list[PulledPrice]]:
    found: dict[tuple[str, str], list[PulledPrice]] = {}
    for each in some:
        found.setdefault((each.provider, each.model), []).append(each)
    return list(found.values())
