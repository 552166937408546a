"""What somebody decides of a pulled price that waits."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from collector.core.errors import InputError
from collector.core.told import WAITING, PulledPrice
from collector.ledger.engines import writing
from collector.ledger.questions.pulled import entry_of
from collector.ledger.schema import pulled_prices


def decide(engine: Engine, entry_id: str, state: str, now_us: int) -> PulledPrice:
    """Puts a waiting entry in force, or declines it. Raises InputError when there is none that waits under that id."""
    with writing(engine).begin() as connection:
        own = pulled_prices.c.id == entry_id
        row = connection.execute(sa.select(pulled_prices).where(own)).first()
        if row is None or row.state != WAITING:
            stated = f"is {row.state}" if row else "is not there"
            raise InputError(
                f"the pulled price {entry_id[:40]!r} {stated}: `callmeter prices accept` lists those that wait"
            )
        connection.execute(sa.update(pulled_prices).where(own).values(state=state, decided_at=now_us))
        return entry_of(row)
