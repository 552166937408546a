"""What the ledger says of itself."""

from sqlalchemy import Select, select

from collector.ledger.schema import meta


def mark(key: str) -> Select[tuple[str]]:
    """The value of a mark such as "demo", one row at most: column value."""
    return select(meta.c.value).where(meta.c.key == key)
