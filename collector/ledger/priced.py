"""Prices as the ledger keeps them: every price set that was used, once, and what a call's row says of money."""

import json
from collections.abc import Iterable, Mapping

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.core.money import MAX_COST, format_usd
from collector.core.prices import Charge, PriceSet, Route, charge_by
from collector.core.prices.checks import describe
from collector.ledger.merge import states_cost
from collector.ledger.schema import price_sets


class PriceSets:
    """Ids of the price sets in the ledger, kept in memory; what a rolled-back transaction added is forgotten."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._added: list[str] = []

    def store(self, connection: Connection, used: Iterable[PriceSet | None]) -> Mapping[str, int]:
        """The ids of price sets, by digest; a set that the ledger does not hold is copied into it."""
        missing = {each.id: each for each in used if each is not None and each.id not in self._ids}
        if missing:
            self._remember(_known(connection, missing))
            new = {digest: each for digest, each in missing.items() if digest not in self._ids}
            rows = [{"digest": digest, "body": body_of(each)} for digest, each in sorted(new.items())]
            if rows:
                connection.execute(sa.insert(price_sets), rows)
                self._remember(_known(connection, new))
        return self._ids

    def committed(self) -> None:
        self._added.clear()

    def rolled_back(self) -> None:
        for digest in self._added:
            self._ids.pop(digest, None)
        self._added.clear()

    def _remember(self, ids: Mapping[str, int]) -> None:
        self._ids.update(ids)
        self._added += ids


def bill(call: Call, route: Route) -> Charge:
    """What a call costs: as it says itself where it was priced before, else by what the book has for it.

    A call has a cost by a set, or a reason, or neither when a failed call reports no usage and costs 0. One that would
    be too dear for the ledger is unpriced: it is kept, and its meters are seen.
    Raises InputError for a stated price set that cannot be read.
    """
    if states_cost(call):
        is_priced = call.cost is not None
        stated = _stated_set(call) if is_priced else None
        reason = None if is_priced else call.unpriced_reason or "its source gave it no cost"
        return Charge(stated, call.meters, call.cost, reason)
    charged = charge_by(call, route)
    if charged.cost is None or charged.cost > MAX_COST:
        return Charge(None, charged.meters, None, charged.unpriced_reason or too_dear(charged))
    return charged


def too_dear(charged: Charge) -> str | None:
    """Why a charge is more than the ledger holds for one call: a price or a count is absurd. None where it is not."""
    if charged.cost is None or charged.price_set is None or charged.cost <= MAX_COST:
        return None
    return f"more than {format_usd(MAX_COST)} USD for one call by the price of {describe(charged.price_set)}"


def price_bodies(connection: Connection, ids: Iterable[int]) -> dict[int, str]:
    """The canonical JSON of price sets, by id."""
    query = sa.select(price_sets.c.id, price_sets.c.body).where(price_sets.c.id.in_(list(ids)))
    return {row.id: row.body for row in connection.execute(query)}


def body_of(price_set: PriceSet) -> str:
    """The canonical JSON of a set."""
    return json.dumps(price_set.to_plain(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def set_of(body: str) -> PriceSet:
    """The set of its canonical JSON."""
    return PriceSet.from_plain(json.loads(body))


def _stated_set(call: Call) -> PriceSet | None:
    if call.price is None:
        return None
    try:
        return PriceSet.from_plain(call.price)
    except msgspec.ValidationError as error:
        raise InputError(f"the price that the call came with cannot be read: {error}") from None


def _known(connection: Connection, digests: Iterable[str]) -> dict[str, int]:
    query = sa.select(price_sets.c.digest, price_sets.c.id).where(price_sets.c.digest.in_(list(digests)))
    return {row.digest: row.id for row in connection.execute(query)}
