"""The zone of the books, for commands about months as they are booked."""

from sqlalchemy import Engine

from collector.core.errors import UsageError
from collector.ledger.questions.booked import books
from collector.settings import Settings


def closing_zone(engine: Engine, asked: str | None, settings: Settings) -> str:
    """The zone that months are booked in. Raises UsageError when another one is asked for."""
    fixed = books(engine).zone
    if asked and fixed and asked != fixed:
        raise UsageError(f"this ledger closes in {fixed}: leave out --zone {asked}, months are booked in no other one")
    return fixed or asked or settings.zone
