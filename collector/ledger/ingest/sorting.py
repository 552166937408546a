"""The records of a batch by what is to be done with them."""

from collections.abc import Iterator, Sequence

import msgspec

from collector.core.calls import Call
from collector.ledger.ceiling import TOO_DEAR
from collector.ledger.ingest.account import Account
from collector.ledger.journal import Beside, Close, Opening, Reject, Skimmed, Uncounted, Unreadable, Whole

Records = Sequence[tuple[int, Skimmed | Unreadable]]  # each with its place in the file
Rejected = tuple[int, int | None, str, bytes]  # place, line of the file it came from, reason, text

MAX_REJECT_BYTES = 65_536
_NO_COST = {"cost": None, "original_cost": None, "price": None, "unpriced_reason": TOO_DEAR}
_NO_REPORT = {"reported_cost": None, "own_key_cost": None, "usage_problem": f"no reported cost is kept: {TOO_DEAR}"}
_encode = msgspec.json.Encoder().encode


class Sorted(msgspec.Struct):
    """Calls to be stored with their places, and what is written beside them."""

    arrivals: list[Call] = []
    places: list[int] = []
    opened: dict[str, tuple[int, Opening]] = {}
    closed: list[str] = []  # ids of calls that were open in the ledger
    rejects: list[Rejected] = []
    uncounted: list[tuple[int, Uncounted]] = []
    beside: list[tuple[int, Beside]] = []


def sort(account: Account, were_open: set[str], records: Records) -> Sorted:
    """The records where they belong, and counted. `were_open` are the calls of the segment open in the ledger."""
    found = Sorted()
    opened, accept = found.opened, account.accept
    for at, record in records:
        if isinstance(record, Opening):
            accept(record.n)
            opened[record.call_id] = (at, record)
            continue
        if isinstance(record, Close):
            if opened.pop(record.call.id, None) is None:
                _close_earlier(account, found, were_open, record.call.id)
        elif isinstance(record, Whole):
            accept(record.n)
        else:
            _sort_other(account, found, at, record)
            continue
        found.arrivals.append(record.call)
        found.places.append(at)
    return found


def without_amounts(record: Close | Whole) -> Iterator[Close | Whole]:
    """The record without amounts that a day cannot add up: without what was reported, what it costs, and both."""
    for changes in (_NO_REPORT, _NO_COST, _NO_REPORT | _NO_COST):
        yield msgspec.structs.replace(record, call=msgspec.structs.replace(record.call, **changes))


def refuse(account: Account, found: Sorted, reason: str) -> None:
    """Lists what was to be stored instead. A call whose opening is refused is missing until its close tells of it."""
    for at, call in zip(found.places, found.arrivals, strict=True):
        found.rejects.append((at, None, reason, _encode(call)[:MAX_REJECT_BYTES]))
        account.rejected += 1
    for at, opening in found.opened.values():
        miss(account, found, at, opening, reason)
    for at, record in found.beside:
        found.rejects.append((at, None, reason, _encode(record)[:MAX_REJECT_BYTES]))
    found.arrivals, found.places, found.opened, found.beside = [], [], {}, []


def miss(account: Account, found: Sorted, at: int, opening: Opening, reason: str) -> None:
    """Lists an opening that cannot be kept: its call is missing until its close tells of it."""
    found.rejects.append((at, None, reason, opening.body[:MAX_REJECT_BYTES]))
    account.missing += 1


def _sort_other(account: Account, found: Sorted, at: int, record: Reject | Uncounted | Beside | Unreadable) -> None:
    if isinstance(record, Unreadable):
        found.rejects.append((at, None, record.reason, record.raw[:MAX_REJECT_BYTES]))
    elif isinstance(record, Uncounted):
        found.uncounted.append((at, record))
    elif isinstance(record, Reject):
        account.accept(record.n)
        account.rejected += 1
        found.rejects.append((at, record.line, record.reason, record.text.encode()))
    else:
        found.beside.append((at, record))


def _close_earlier(account: Account, found: Sorted, were_open: set[str], call_id: str) -> None:
    if call_id in were_open:
        were_open.discard(call_id)
        found.closed.append(call_id)
    else:
        account.find()
