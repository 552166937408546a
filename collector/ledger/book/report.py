"""The book as text: which sets there are, what they say, what is wrong with them, how two lists differ."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from collector.core.meters import METERS
from collector.core.money import format_usd
from collector.core.prices import PriceBook, PriceSet, Source, Unpriced
from collector.core.prices.checks import conditions, describe, problems
from collector.core.prices.notices import STALE_DAYS, age_days, image_notice, source_sentence
from collector.core.prices.sets import PER_IMAGE
from collector.ledger.book.endpoints import stated_sets
from collector.ledger.book.load import names_of, own_sets, shipped_sets
from collector.ledger.book.pulled import pulled_sets
from collector.settings import Settings


class Found(NamedTuple):
    """A price set and the source that it is in."""

    source: str
    price_set: PriceSet


def sold(book: PriceBook, model: str, provider: str | None) -> list[Found]:
    """Every set of a model, all tiers, sizes, hours and dates, best source first; at one provider or at all of them."""
    found = []
    for source in book.sources:
        at = book.providers(provider) if provider else []
        sets = [s for p in at for s in source.sets(model, p)] if provider else source.everywhere(model)
        found += [Found(source.name, s) for s in sets]
    return list({(f.source, f.price_set.id): f for f in found}.values())


def card(price_set: PriceSet, source: str, today: date) -> Iterator[str]:
    """All that a set says, line by line."""
    named = f"{price_set.model} at {price_set.provider or 'any provider'}"
    yield f"{named}, {conditions(price_set)}  [{price_set.id}]"
    for name, rate in price_set.rates.items():
        if name in price_set.prices or rate.rule.startswith("at the price"):
            rule = f"listed: {price_set.listed[name]}" if name in price_set.listed else rate.rule
            yield f"  {name:<18} {rate.price or 0:>20,} p$ per {METERS[name].unit:<8} {rule}"
    if price_set.minimum is not None:
        yield f"  at least {format_usd(price_set.minimum)} USD a call"
    if notice := image_notice(price_set, price_set.provider):
        yield f"  {notice}"
    yield f"  {source}: {source_sentence(price_set, today)}"


def is_in_force(s: PriceSet, at_us: int) -> bool:
    """True when an instant is in the dates of a set."""
    return (s.starts is None or s.starts <= at_us) and (s.until is None or at_us < s.until)


def one_line(found: Found, today: date) -> tuple[str, ...]:
    """Model, provider, conditions, input and output price per million, where from and how old: of `prices list`."""
    s = found.price_set
    per_million = (format_usd(s.prices[m] * 1_000_000) if m in s.prices else "-" for m in ("input", "output"))
    return s.model, s.provider or "any", conditions(s), *per_million, found.source, source_sentence(s, today)


class Verdict(NamedTuple):
    """What a check of the book found: `wrong` entries are refused; `sources` and `notices` are for the reader."""

    entries: int
    sources: list[str]
    wrong: list[str]
    notices: list[str]


def check_book(settings: Settings, long_list: Source, today: date) -> Verdict:
    """Check the prices of endpoints, the user's own and the shipped ones, against each other and a long list."""
    names, own, shipped = names_of(settings), own_sets(settings), shipped_sets()
    at_endpoints = stated_sets(settings.endpoints)
    checked = [*at_endpoints, *own, *shipped]
    beside = [s for model in {s.model for s in checked} for s in long_list.everywhere(model)]
    wrong = [
        *problems(at_endpoints, names, [*own, *shipped, *beside]),
        *problems(own, names, [*shipped, *beside]),
        *problems(shipped, names, beside),
    ]
    sources = list(_sources([*checked, *pulled_sets(settings)], today))
    return Verdict(len(checked), sources, wrong, list(_notices(checked, today)))


def _sources(sets: list[PriceSet], today: date) -> Iterator[str]:
    """Each source and how old it is, in a sentence, with how many entries say so."""
    for sentence, count in Counter(source_sentence(s, today) for s in sets).items():
        yield f"{count} {'entry' if count == 1 else 'entries'}. {sentence}"


def _notices(sets: list[PriceSet], today: date) -> Iterator[str]:
    for s in sets:
        if s.images == PER_IMAGE and (notice := image_notice(s, s.provider)):
            yield f"{describe(s)}: {notice}"
        days = age_days(s, today)
        if days is not None and not 0 <= days <= STALE_DAYS:
            yield f"{describe(s)}: {source_sentence(s, today)} Read it again, and write the day as its `checked`."


def differences(sets: Iterable[PriceSet], book: PriceBook, now_us: int) -> Iterator[str]:
    """How entries differ from what a book says for the same calls, a line for each price."""
    for s in sets:
        at_us = max(s.starts if s.starts is not None else now_us, -(2**62))
        size = s.above_tokens + 1
        before = book.find(s.model, s.provider, at_us, s.tier, size, key=s.key)
        if isinstance(before, Unpriced):
            yield f"{describe(s)}: new, {before.reason}"
        else:
            yield from (f"{describe(s)}: {line}" for line in _changes(before, s))


def _changes(before: PriceSet, after: PriceSet) -> Iterator[str]:
    for meter in METERS:
        old, new = before.prices.get(meter), after.prices.get(meter)
        if old == new:
            continue
        texts = ["not listed" if price is None else format_usd(price) for price in (old, new)]
        change = f" ({_percent(old, new)})" if old and new is not None else ""
        yield f"{meter} {texts[0]} -> {texts[1]} USD per {METERS[meter].unit}{change}"


def _percent(old: int, new: int) -> str:
    return f"{(Decimal(new) / Decimal(old) - 1) * 100:+.1f}%"
