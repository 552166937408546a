"""The reference load in a journal, and a new ledger beside it."""

from itertools import islice
from pathlib import Path

from sqlalchemy.engine import Engine

from collector.core.calls import Call
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook
from collector.demo.reference import Load, reference_calls
from collector.ledger.book import load_book
from collector.ledger.engines import open_ledger
from collector.ledger.journal import Writer
from collector.settings import Limits, load_settings

DAY_US = 86_400_000_000
START_US = 20_600 * DAY_US  # 27 May 2026: 90 days later everything is still in the past
END_US = START_US + 90 * DAY_US
ZONES = frozenset({"UTC"})  # the default


def new_home(data_dir: Path) -> tuple[Engine, PriceBook]:
    """An empty ledger in a data directory, and the prices that are shipped, already read."""
    settings = load_settings(data_dir=data_dir, environ={})
    book = load_book(settings)
    book.find("openai/gpt-4o", "openai", END_US)
    return open_ledger(settings.ledger_url, create=True), book


def write_journal(data_dir: Path, calls: int, *, opened: bool, load: int | None = None) -> None:
    """The reference load, or the first calls of one of `load` calls, as a writer leaves it.

    Whole calls, or each opened and closed as the gateway does it.
    """
    writer = Writer(data_dir / "journal", "gateway", Limits(journal_bytes=1 << 40), fsync="interval")
    for call in islice(reference_calls(Load(load or calls, START_US)), calls):
        if opened:
            writer.close(writer.open(_opening(call)), call)
        else:
            writer.whole(call)
    writer.stop()


def _opening(call: Call) -> Call:
    return Call(
        id=call.id,
        source=call.source,
        started_at=call.started_at,
        outcome=Outcome.INTERRUPTED,
        model=call.model,
        app=call.app,
        app_title=call.app_title,
        key=call.key,
        user=call.user,
        streamed=call.streamed,
    )
