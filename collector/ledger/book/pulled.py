"""What pulls learned of prices, from the ledger; where there is none yet they learned nothing."""

import sqlalchemy as sa

from collector.core.errors import LedgerError
from collector.core.prices import PriceSet
from collector.ledger.engines import bare_engine, ledger_path
from collector.ledger.questions.pulled import price_sets
from collector.settings import Settings


def pulled_sets(settings: Settings) -> list[PriceSet]:
    """The pulled price sets in force. Raises LedgerError for a ledger that cannot be read."""
    path = ledger_path(settings.ledger_url)
    if path is None or not path.exists():
        return []
    engine = bare_engine(settings.ledger_url, read_only=True)
    try:
        return price_sets(engine) if sa.inspect(engine).has_table("pulled_prices") else []
    except sa.exc.DatabaseError as error:
        raise LedgerError(f"{path} cannot be read for pulled prices: {error.orig}") from error
    finally:
        engine.dispose()
