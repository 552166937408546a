"""The price sets that calls were priced by."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from collector.ledger.questions.ask import Question
from collector.ledger.schema import price_sets


def used_sets(digests: Collection[str]) -> Question:
    """Columns digest and body (the set's JSON) of the named sets."""
    return select(price_sets.c.digest, price_sets.c.body).where(price_sets.c.digest.in_(digests))


def bodies_of(connection: Connection, digests: Collection[str]) -> dict[str, str]:
    """The JSON of the named sets, within a transaction that runs already."""
    return {row.digest: row.body for row in connection.execute(used_sets(digests))} if digests else {}
