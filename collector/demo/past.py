"""90 days of invented calls, through the journal like any others."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Engine

from collector.core.calls import Call
from collector.core.errors import LedgerError
from collector.demo.cast import APPS, MODELS, Model
from collector.demo.reference import Load, reference_calls
from collector.demo.reference_names import Home, Route
from collector.ledger.book import load_book
from collector.ledger.engines import open_ledger, writing
from collector.ledger.ingest import drain
from collector.ledger.journal import Writer
from collector.ledger.schema import meta
from collector.settings import Settings

DAYS = 90
CALLS = 30_000
DAY_US = 86_400_000_000
KEPT_US = 2 * DAY_US  # a past that ended longer ago leaves a hole before today, and is made anew
DEMO = "demo"  # the ledger's mark; its value says when the past was made
UNFINISHED = "0"


def renew_past(settings: Settings, now_us: int) -> Iterator[int]:
    """Makes the past, or keeps one that is fresh; yields how many calls were written each time some more were.

    Raises LedgerError when the folder holds a ledger that is no demo.
    """
    made_at = _made_at(settings)
    if made_at is not None and now_us - KEPT_US < made_at <= now_us:
        return
    _remove(settings.data_dir)
    engine = open_ledger(settings.ledger_url, create=True)
    try:
        with writing(engine).begin() as connection:
            connection.execute(insert(meta).values(key=DEMO, value=UNFINISHED))
        yield from _write(settings, engine, now_us)
        with writing(engine).begin() as connection:
            connection.execute(update(meta).where(meta.c.key == DEMO).values(value=str(now_us)))
    finally:
        engine.dispose()


def past_calls(now_us: int, count: int = CALLS) -> Iterator[Call]:
    """The invented calls of the last 90 days, `count` of them if today were over, in order of time until now."""
    start_us = now_us // DAY_US * DAY_US - (DAYS - 1) * DAY_US
    load = Load(calls=count, start_us=start_us, days=DAYS, apps=len(APPS), routes=tuple(_route(m) for m in MODELS))
    for call in reference_calls(load):
        if call.started_at >= now_us:
            return
        yield _played(call)


def _write(settings: Settings, engine: Engine, now_us: int) -> Iterator[int]:
    book = load_book(settings)
    writer = Writer(settings.journal_dir, "gateway", settings.limits, "interval")
    waiting = 0
    try:
        for call in past_calls(now_us):
            writer.whole(call)
            waiting += 1
            if waiting == settings.limits.batch_calls:
                yield waiting
                waiting = 0
    finally:
        writer.stop()
    drain(engine, settings.journal_dir, book, settings.limits, now_us=now_us, zones=settings.zones)
    yield waiting


def _played(call: Call) -> Call:
    """The call of a numbered application as one of the demo's, which has no keys."""
    app = APPS[int(call.app_title.rsplit(" ", 1)[1]) % len(APPS)] if call.app_title else None
    return msgspec.structs.replace(call, app=app and app.address, app_title=app and app.title, key=None)


def _route(model: Model) -> Route:
    first, second = (Home(provider, model.name) for provider in model.providers)
    return Route(model.name, (first, second), model.ms_per_token, sees=model.sees)


def _made_at(settings: Settings) -> int | None:
    """When the folder's past was made; None when there is none or it is of another revision."""
    if not (settings.data_dir / "callmeter.db").exists():
        return None
    try:
        engine = open_ledger(settings.ledger_url)
    except LedgerError:
        return None
    try:
        with engine.connect() as connection:
            value = connection.scalar(select(meta.c.value).where(meta.c.key == DEMO))
    finally:
        engine.dispose()
    if value is None:
        raise LedgerError(f"{settings.data_dir} holds a ledger that is no demo: name another --data-dir")
    return int(value)


def _remove(folder: Path) -> None:
    for path in folder.glob("*.db*"):
        path.unlink()
    shutil.rmtree(folder / "journal", ignore_errors=True)
