"""Price lists that were pulled: what changed since the last one, and what is too strange to be believed unasked."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from collector.core.meters import METERS
from collector.core.money import format_usd
from collector.core.prices.checks import day_text, describe, problems
from collector.core.prices.names import Names
from collector.core.prices.sets import PriceSet
from collector.core.told import IN_FORCE, WAITING, PulledPrice

JUMP = 4  # times dearer or cheaper than before
NOT_LISTED = "it is not listed any more"
_json = msgspec.json.Encoder(order="deterministic").encode


class Standing(NamedTuple):
    """What is known of a model at a provider: the sets in force, and the ids of what waits or was declined."""

    sets: tuple[PriceSet, ...] = ()
    in_force: str = ""
    others: frozenset[str] = frozenset()


def change(
    provider: str,
    model: str,
    sets: Sequence[PriceSet],
    standing: Standing,
    read_at: int,
    names: Names,
    beside: Iterable[PriceSet] = (),
) -> PulledPrice | None:
    """The entry that a list makes of a model at a provider; None when it says what is known, or waits, or was declined.

    `sets` have no dates, none of them: the model is not listed. A component that the list does not name keeps the price
    it had. `beside` are prices of other sources, beside which a first price is absurd or not.
    """
    whole = tuple(_completed(each, standing.sets) for each in sets)
    plain = tuple(each.to_plain() for each in whole)
    if plain == tuple(each.to_plain() for each in map(_undated, standing.sets)):
        return None
    told_id = _id(provider, model, plain, standing.in_force)
    if told_id in standing.others:
        return None
    why = _why_it_waits(whole, standing.sets, names, list(beside))
    changes = tuple(_changes(standing.sets, whole))[:50]
    return PulledPrice(told_id, provider, model, read_at, plain, changes, WAITING if why else IN_FORCE, why)


def dated(entries: Sequence[PulledPrice]) -> Iterator[PriceSet]:
    """The sets of entries in force of one model at one provider: each holds until the next one was read."""
    ordered = sorted(entries, key=lambda each: (each.read_at, each.id))
    for entry, following in zip(ordered, [*ordered[1:], None], strict=True):
        until = following.read_at if following else None
        read = day_text(entry.read_at)[:10]
        for plain in entry.sets:
            yield msgspec.structs.replace(PriceSet.from_plain(plain), starts=entry.read_at, until=until, checked=read)


def _undated(price_set: PriceSet) -> PriceSet:
    return msgspec.structs.replace(price_set, starts=None, until=None)


def _completed(new: PriceSet, before: Iterable[PriceSet]) -> PriceSet:
    old = next((each for each in before if _conditions(each) == _conditions(new)), None)
    if old is None:
        return new
    return msgspec.structs.replace(
        new,
        prices={**old.prices, **new.prices},
        listed={**old.listed, **new.listed},
        images=new.images if "images_in" in new.prices else old.images,
    )


def _why_it_waits(new: Sequence[PriceSet], before: Sequence[PriceSet], names: Names, beside: list[PriceSet]) -> str:
    if not new:
        return NOT_LISTED
    if found := problems(new, names, beside):
        return found[0]
    for one in new:
        for meter, price in one.prices.items():
            old = _price_before(one, before, meter)
            if old is not None and _is_jump(old, price):
                return f"{meter} {format_usd(old)} -> {format_usd(price)} USD per {METERS[meter].unit} is a jump"
    return ""


def _is_jump(old: int, new: int) -> bool:
    if old == new:
        return False
    return old == 0 or new == 0 or new >= JUMP * old or old >= JUMP * new


def _price_before(price_set: PriceSet, before: Iterable[PriceSet], meter: str) -> int | None:
    return next((b.prices.get(meter) for b in before if _conditions(b) == _conditions(price_set)), None)


def _changes(before: Sequence[PriceSet], after: Sequence[PriceSet]) -> Iterator[str]:
    old = {_conditions(each): each for each in before}
    new = {_conditions(each): each for each in after}
    for conditions in dict.fromkeys((*old, *new)):
        one, other = old.get(conditions), new.get(conditions)
        named = describe(_undated(other or one or after[0]))
        for meter in METERS:
            a, b = _stated(one, meter), _stated(other, meter)
            if a != b:
                yield f"{named}: {meter} {a} -> {b} USD per {METERS[meter].unit}"


def _stated(price_set: PriceSet | None, meter: str) -> str:
    price = None if price_set is None else price_set.prices.get(meter)
    return "not listed" if price is None else format_usd(price)


def _conditions(price_set: PriceSet) -> tuple[Any, ...]:
    return price_set.tier, price_set.above_tokens, price_set.hours, price_set.days


def _id(provider: str, model: str, plain: tuple[Mapping[str, Any], ...], before: str) -> str:
    return hashlib.sha256(_json((provider, model, plain, before))).hexdigest()[:12]
