"""The queue of unpriced calls as text, for `callmeter prices check`."""

from collections.abc import Iterator

from collector.core.errors import LedgerError
from collector.core.meters import METERS
from collector.core.periods import format_day
from collector.core.selection import Selection
from collector.ledger.engines import ledger_path, open_ledger
from collector.ledger.questions.ask import AnyRow, declared_zones, rows
from collector.ledger.questions.unpriced import EVER, queue
from collector.settings import Settings

SHOWN = 30


def unpriced_lines(settings: Settings) -> Iterator[str]:
    """What has no price, the most calls first, and what to do; nothing where there is no ledger or all is priced."""
    path = ledger_path(settings.ledger_url)
    if path is not None and not path.exists():
        return
    try:
        engine = open_ledger(settings.ledger_url, read_only=True)
    except LedgerError as error:
        yield f"notice: calls without a price cannot be listed: {error}"
        return
    try:
        found = rows(engine, queue(Selection(), EVER, declared_zones(engine), settings.limits))
    finally:
        engine.dispose()
    yield from map(_line, found[:SHOWN])
    if len(found) > SHOWN:
        yield f"unpriced: and {len(found) - SHOWN} more models, providers or reasons"
    if found:
        calls, first = sum(row.calls for row in found), format_day(min(row.first_day for row in found))
        end = format_day(max(row.last_day for row in found) + 1)
        command = f"callmeter reprice --from {first} --to {end} --zone UTC"
        yield f"{calls:,} {_calls(calls)} unpriced: add prices, then `{command}`"


def _line(row: AnyRow) -> str:
    used = [f"{n:,} {meter.column}" for meter in METERS.values() if (n := getattr(row, meter.column))]
    when = format_day(row.first_day)
    if row.last_day != row.first_day:
        when += f" to {format_day(row.last_day)}"
    why = whose(row.reason, row.model, row.provider)
    return f"unpriced: {row.calls:,} {_calls(row.calls)}, {why} ({', '.join(used) or 'no usage stated'}), {when}"


def whose(reason: str, model: str | None, provider: str | None) -> str:
    """A reason with the model and the provider that it is about, where it does not name them itself."""
    if model and model in reason:
        return reason
    return f"{reason}: {model or 'no model'} at {provider or 'no provider'}"


def _calls(count: int) -> str:
    return "call" if count == 1 else "calls"
