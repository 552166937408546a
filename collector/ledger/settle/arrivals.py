"""Puts the calls of a batch into the ledger: as new rows, or merged with what is already there."""

from collections.abc import Sequence
from typing import NamedTuple

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.ledger.pruned import Pruned
from collector.ledger.rows import Shared, canonical
from collector.ledger.settle.desk import Desk
from collector.ledger.settle.fresh import Fit, Kin, fit, insert
from collector.ledger.settle.joined import join
from collector.ledger.settle.known import perhaps_known


class Settled(NamedTuple):
    """How many calls became rows, how many joined one or a pruned one; `rejected` by their place, with the reason."""

    stored: int
    merged: int
    rejected: dict[int, str]


def settle(desk: Desk, arrivals: Sequence[Call]) -> Settled:
    """Stores calls, with their cells. A call that cannot be stored is rejected with its reason; the rest are stored."""
    rejected: dict[int, str] = {}
    fits: list[Fit] = []
    titles: dict[str, str] = {}
    pruned, gone = Pruned(desk.connection, arrivals), 0
    kins: dict[Shared, Kin] = {}
    for place, arrival in enumerate(arrivals):
        try:
            each = fit(arrival, kins, desk.book)
            if pruned.has(each.call):
                gone += 1
                continue
        except InputError as error:
            rejected[place] = str(error)
            continue
        fits.append(each)
        if each.call.app_title and each.call.app:
            titles[each.call.app] = each.call.app_title
    known = perhaps_known(desk, fits)
    fresh = [each for each in fits if each.call.id not in known]
    others = [canonical(each.call) for each in fits if each.call.id in known]
    insert(desk, fresh)
    joined = join(desk, others) if others else 0
    desk.names.label(desk.connection, "app", titles)
    return Settled(len(fresh) + joined, len(others) - joined + gone, rejected)
