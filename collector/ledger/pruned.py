"""What is known of calls whose rows are gone: since when all rows are there, and whether a record tells of one."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.core.calls import Call
from collector.core.errors import InputError
from collector.core.periods import SECOND_US, day_number, format_day
from collector.ledger import merge
from collector.ledger.rows import origin_key
from collector.ledger.schema import identities, meta

ROWS_FROM = "rows_from"  # meta: the first instant from which on all calls have their rows, microseconds
KNOWN_FROM = "identities_from"  # meta: the first instant whose pruned calls are still known again
USERS_FROM = "users_from:"  # meta, and a zone: the first instant of its user cells

_MINUTE_US = 60 * SECOND_US
_WINDOW_MINUTES = merge.WINDOW_US // _MINUTE_US
_AT_ONCE = 10_000


def instant_of(connection: Connection, key: str) -> int:
    """The instant of one of the keys above, microseconds; 0 when nothing was ever pruned."""
    found = connection.execute(sa.select(meta.c.value).where(meta.c.key == key)).scalar()
    return int(found) if found else 0


def raise_instant(connection: Connection, key: str, at_us: int) -> None:
    """Sets an instant, which never falls."""
    if at_us > instant_of(connection, key):
        statement = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        connection.exec_driver_sql(statement, (key, str(at_us)))


def minute_of(started_at: int) -> int:
    """The minute since 1970 of an instant."""
    return started_at // _MINUTE_US


def id_digest(call_id: str) -> int:
    """63 bits of the digest of a record's id."""
    return int.from_bytes(blake2b(b"id\0" + call_id.encode(), digest_size=8).digest(), "big") >> 1


class Pruned:
    """Answers, for the calls of one batch, which of them are already counted though their rows are gone."""

    def __init__(self, connection: Connection, arrivals: Sequence[Call]) -> None:
        self._known_from = instant_of(connection, KNOWN_FROM)
        self._minutes: Mapping[int, list[int]] = {}
        rows_from = instant_of(connection, ROWS_FROM)
        if rows_from and any(call.started_at < rows_from + merge.WINDOW_US for call in arrivals):
            keys = {key for call in arrivals if (key := origin_key(call)) is not None}
            self._minutes = _minutes_of(connection, sorted(keys | {id_digest(call.id) for call in arrivals}))

    def has(self, call: Call) -> bool:
        """Whether the record is, or may be, one of a pruned call.

        Raises InputError for one so old that nobody can tell any more.
        """
        if call.started_at < self._known_from:
            day = format_day(day_number(self._known_from, "UTC"))
            raise InputError(
                f"started_at is before {day}: calls until then are pruned and no longer known by their ids,"
                " so this one could be counted twice"
            )
        if not self._minutes:
            return False
        if id_digest(call.id) in self._minutes:
            return True
        key = origin_key(call)
        near = self._minutes.get(key, ()) if key is not None else ()
        return any(abs(minute - minute_of(call.started_at)) <= _WINDOW_MINUTES for minute in near)


def _minutes_of(connection: Connection, digests: Sequence[int]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for at in range(0, len(digests), _AT_ONCE):
        some = digests[at : at + _AT_ONCE]
        query = sa.select(identities).where(identities.c.digest.in_(some))
        for row in connection.execute(query):
            found.setdefault(row.digest, []).append(row.minute)
    return found
