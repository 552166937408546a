"""Which of the calls that can be stored the ledger, or another record of the batch, may tell of already."""

from collections import Counter
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from collector.core.calls import Call
from collector.ledger import schema
from collector.ledger.settle.desk import Desk, where_in
from collector.ledger.settle.fresh import Fit

_OF_ORIGIN = """
SELECT c.origin_key, n.name, EXISTS (SELECT 1 FROM witnesses AS w WHERE w.call_id = c.id)
FROM calls AS c JOIN names AS n ON n.id = c.source WHERE c.origin_key IN"""


def perhaps_known(desk: Desk, fit: Sequence[Fit]) -> set[str]:
    """Their ids."""
    ids = [each.call.id for each in fit]
    found = set(_repeated(ids))
    for table in ("calls", "witnesses"):
        newest = desk.connection.exec_driver_sql(f"SELECT max(id) FROM {table}").scalar()
        old = [bytes.fromhex(each) for each in ids if each <= newest.hex()] if newest else []
        found.update(row[0].hex() for row in where_in(desk, f"SELECT id FROM {table} WHERE id IN", old))
    if _has_several_sources(desk, fit):
        found |= _perhaps_known_by_origin(desk, fit)
    return found


def _has_several_sources(desk: Desk, fit: Sequence[Fit]) -> bool:
    """Whether the ledger and these arrivals together know more than one: records of one are never put together."""
    sources = {each.call.source for each in fit}
    query = sa.select(schema.names.c.id).where(schema.names.c.kind == "source", schema.names.c.name.not_in(sources))
    return len(sources) > 1 or desk.connection.execute(query.limit(1)).first() is not None


def _perhaps_known_by_origin(desk: Desk, fit: Sequence[Fit]) -> set[str]:
    found: set[str] = set()
    by_key: dict[int, list[Call]] = {}
    for each in fit:
        if each.key is not None:
            by_key.setdefault(each.key, []).append(each.call)
    if len(by_key) < len(fit):
        for same in by_key.values():
            if len(same) > 1 and len({call.source for call in same}) > 1:
                found.update(call.id for call in same)
    for key, source, has_witnesses in where_in(desk, _OF_ORIGIN, list(by_key)):
        found.update(call.id for call in by_key[key] if has_witnesses or call.source != source)
    return found


def _repeated(ids: Sequence[str]) -> Iterable[str]:
    if len(set(ids)) == len(ids):
        return ()
    return (call_id for call_id, times in Counter(ids).items() if times > 1)
