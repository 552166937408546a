"""Calls priced again by the book of today: previewed, or written with an adjustment for each.

A cost changes where today's book gives another one: for calls that had no price, and where a past price was corrected.
Left as they are: a cost that came with its call, unless asked for, and a cost whose price the book no longer holds.
Whoever writes holds the lock of the ingest during a page, which is read and written in one transaction: nobody else
changes those calls meanwhile, what a crash leaves is a consistent ledger, and the next run finds the rest. Between
pages the ingest may store, merge and move calls; what it stores it has priced itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.core.calls import QUALITIES, Call
from collector.core.errors import InputError, TooDear
from collector.core.money import format_usd
from collector.core.outcomes import OUTCOMES_BY_CODE
from collector.core.periods import Period, day_number, format_day
from collector.core.prices import Charge, PriceBook, PriceSet, charge
from collector.ledger import engines, schema
from collector.ledger import names as interning
from collector.ledger.ceiling import TOO_DEAR, refuse_dear_days
from collector.ledger.cells import Cells, Progress, kept
from collector.ledger.cells.tables import USAGE_TABLES
from collector.ledger.priced import PriceSets, too_dear
from collector.ledger.rows import AT, METERS_END, Row, meters_of, sparse_text

_ROWS_AT_ONCE = 5_000
_MAX_TEXTS = 200_000
_MAX_GROUPS = 10_000  # models come from outside: what is reported one by one is bounded
OTHER = "(others)"
_TEXTS = ("model", "served_model", "provider", "key", "service_tier", "unpriced_reason")
_COST, _PRICE, _REASON = AT["cost"], AT["price"], AT["unpriced_reason"]
_ORIGINAL, _STATED = AT["original_cost"], AT["cost_stated"]
_USAGE_TABLES = {table.name: table.name for table in USAGE_TABLES}
_UPDATE = (
    "UPDATE calls SET batch = ?, sparse = ?, price = ?, unpriced_reason = ?, cost = ?, original_cost = ?,"
    " cost_stated = NULL WHERE id = ?"
)
_ADJUST = (
    "INSERT INTO adjustments (call_id, n, at, batch, who, why, old_cost, new_cost, old_price, new_price, old_reason,"
    " new_reason, old_stated) SELECT ?, (SELECT coalesce(max(n), 0) + 1 FROM adjustments WHERE call_id = ?),"
    " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
)


class Which(msgspec.Struct, frozen=True):
    """The calls to price again: of a period; of a model under any of its names; with a stated cost too."""

    period: Period
    model: str | None = None
    stated: bool = False


class Author(msgspec.Struct, frozen=True):
    """Who adjusts, and why."""

    who: str
    why: str


class Changed(msgspec.Struct):
    """What changes for the calls of a month and model; costs in picodollars."""

    calls: int = 0
    unpriced: int = 0  # of the calls, those that had no cost
    old: int = 0
    new: int = 0

    @property
    def difference(self) -> int:
        return self.new - self.old


class Left(msgspec.Struct):
    """Calls that stay unpriced for one reason, and what they used."""

    calls: int = 0
    meters: dict[str, int] = {}


class Report(msgspec.Struct):
    """What was found, and with an author done."""

    changed: dict[tuple[str, str], Changed] = {}  # by month (2026-10) and model
    left: dict[tuple[str, str, str], Left] = {}  # by model, provider and today's reason
    looked_at: int = 0
    old_spend: int = 0  # of all calls looked at
    new_spend: int = 0
    stated: int = 0  # calls left as they are: their cost came with them, and differs from today's price
    kept: int = 0  # calls left as they are: their price is no longer in the book
    reasons: int = 0  # calls that stay unpriced for another reason than the ledger says

    def total(self) -> Changed:
        """The sum of `changed`."""
        parts = self.changed.values()
        return Changed(*(sum(getattr(part, name) for part in parts) for name in Changed.__struct_fields__))


class _Change(NamedTuple):
    """A call's row and what it is to be charged."""

    row: Row
    charged: Charge


def reprice(
    engine: Engine,
    book: PriceBook,
    which: Which,
    now_us: int,
    by: Author | None = None,
    progress: Progress | None = None,
    take_turn: Callable[[], None] = lambda: None,
) -> Report:
    """Finds the calls whose cost differs by the book, and writes their new cost when `by` says who does.

    `take_turn` is called before each page: when it returns, the caller holds the ingest's lock, which it may have given
    up for a while. Raises InputError for a price that makes one call dearer than the ledger can hold.
    """
    return _Run(engine, book, which, now_us, by).run(progress, take_turn)


class _Run:
    """One run: its memories and its report."""

    def __init__(self, engine: Engine, book: PriceBook, which: Which, now_us: int, by: Author | None) -> None:
        self._engine, self._book, self._which, self._now_us, self._by = engine, book, which, now_us, by
        self._texts: dict[int, str] = {}
        self._names = interning.Names()
        self._price_sets = PriceSets()
        self._report = Report()
        self._months: dict[int, str] = {}

    def run(self, progress: Progress | None, take_turn: Callable[[], None]) -> Report:
        in_all = self._count() if progress else 0
        after = (self._which.period.start_us, b"")
        take_turn()
        while rows := self._page(after):
            after = rows[-1][1], rows[-1][0]
            if progress:
                progress(self._report.looked_at, in_all)
            take_turn()
        return self._report

    def _page(self, after: tuple[int, bytes]) -> Sequence[Row]:
        """Reads the rows that follow in order of time and writes what changes of them, in one transaction."""
        engine = engines.writing(self._engine) if self._by else self._engine
        try:
            with engine.begin() as connection:
                rows = [tuple(row) for row in connection.execute(self._query(*after))]
                self._read_texts(connection, rows)
                changes = [change for row in rows if (change := self._look_at(row))]
                if changes and self._by:
                    self._write(connection, changes, self._by)
        except BaseException:
            self._names.rolled_back()
            self._price_sets.rolled_back()
            raise
        self._names.committed()
        self._price_sets.committed()
        return rows

    def _query(self, at_us: int, call_id: bytes) -> sa.Select[Any]:
        calls = schema.calls.c
        return (
            sa.select(schema.calls)
            .where(calls.started_at >= at_us, calls.started_at < self._which.period.end_us)
            .where(sa.or_(calls.started_at > at_us, calls.id > call_id), *self._of_model())
            .order_by(calls.started_at, calls.id)
            .limit(_ROWS_AT_ONCE)
        )

    def _count(self) -> int:
        calls, period = schema.calls.c, self._which.period
        query = sa.select(sa.func.count()).select_from(schema.calls).where(*self._of_model())
        with self._engine.connect() as connection:
            within = (calls.started_at >= period.start_us, calls.started_at < period.end_us)
            return connection.execute(query.where(*within)).scalar_one()

    def _of_model(self) -> list[sa.ColumnElement[bool]]:
        if self._which.model is None:
            return []
        n, calls = schema.names.c, schema.calls.c
        wanted = self._book.names.all_of(self._which.model)
        ids = [
            sa.select(n.id).where(n.kind == kind, sa.func.lower(n.name).in_(wanted))
            for kind in ("model", "served_model")
        ]
        return [sa.or_(calls.model.in_(ids[0]), calls.served_model.in_(ids[1]))]

    def _read_texts(self, connection: Connection, rows: Iterable[Row]) -> None:
        if len(self._texts) > _MAX_TEXTS:
            self._texts.clear()
        places = [AT[name] for name in _TEXTS]
        wanted = {row[at] for row in rows for at in places} - {None}
        self._texts |= interning.by_id(connection, wanted - self._texts.keys())

    def _look_at(self, row: Row) -> _Change | None:
        """What is to be changed of a call; None where nothing is. The report counts it either way."""
        charged = self._charge(row)
        report, cost = self._report, row[_COST]
        change = self._change(row, charged)
        report.looked_at += 1
        report.old_spend += cost or 0
        report.new_spend += (charged.cost if change else cost) or 0
        if cost is None and charged.cost is None:
            self._leave(row, charged)
        elif change:
            self._count_change(row, charged)
        return change

    def _change(self, row: Row, charged: Charge) -> _Change | None:
        cost = row[_COST]
        if cost == charged.cost:
            is_same = cost is not None or self._texts.get(row[_REASON]) == charged.unpriced_reason
            return None if is_same else _Change(row, charged)
        if cost is not None and row[_STATED] and not self._which.stated:
            self._report.stated += charged.cost is not None
            return None
        if charged.cost is None:
            self._report.kept += 1
            return None
        return _Change(row, charged)

    def _charge(self, row: Row) -> Charge:
        """By the book; a call that was unpriced for being too dear stays so, any other must not become it."""
        charged = charge(self._call_of(row), self._book)
        reason = too_dear(charged)
        if reason is None:
            return charged
        if self._texts.get(row[_REASON]) == reason:
            return Charge(None, charged.meters, None, reason)
        raise InputError(f"call {row[0].hex()} would cost {format_usd(charged.cost or 0)} USD, {reason}: correct it")

    def _call_of(self, row: Row) -> Call:
        """As much of a call as its price depends on."""
        text = self._texts.get
        return Call(
            id="",
            source="",
            started_at=row[1],
            outcome=OUTCOMES_BY_CODE[row[AT["outcome"]]],
            model=text(row[AT["model"]]),
            served_model=text(row[AT["served_model"]]),
            provider=text(row[AT["provider"]]),
            key=text(row[AT["key"]]),
            service_tier=text(row[AT["service_tier"]]),
            meters=meters_of(row),
            quality=QUALITIES[row[AT["quality"]] - 1],
        )

    def _count_change(self, row: Row, charged: Charge) -> None:
        changed = self._report.changed
        key = (self._month(row[1]), self._texts.get(row[AT["model"]], ""))
        counted = changed.setdefault(
            key if key in changed or len(changed) < _MAX_GROUPS else (key[0], OTHER), Changed()
        )
        counted.calls += 1
        counted.unpriced += row[_COST] is None
        counted.old += row[_COST] or 0
        counted.new += charged.cost or 0

    def _leave(self, row: Row, charged: Charge) -> None:
        model, provider = (self._texts.get(row[AT[name]], "") for name in ("model", "provider"))
        reason = charged.unpriced_reason or ""
        self._report.reasons += self._texts.get(row[_REASON]) != reason
        groups = self._report.left
        key = (model, provider, reason)
        left = groups.setdefault(key if key in groups or len(groups) < _MAX_GROUPS else (OTHER, OTHER, OTHER), Left())
        left.calls += 1
        for meter, quantity in meters_of(row).items():
            if quantity:
                left.meters[meter] = left.meters.get(meter, 0) + quantity

    def _month(self, us: int) -> str:
        day = day_number(us, self._which.period.zone)
        if day not in self._months:
            self._months[day] = format_day(day)[:7]
        return self._months[day]

    def _write(self, connection: Connection, changes: Sequence[_Change], by: Author) -> None:
        key = connection.execute(sa.insert(schema.batches), {"stored_at": self._now_us}).inserted_primary_key
        batch = key[0] if key else 0
        sets = self._price_sets.store(connection, [_priced_by(each.charged) for each in changes])
        reasons = {each.charged.unpriced_reason for each in changes} - {None}
        reason_ids = self._names.intern(connection, "reason", [reason for reason in reasons if reason])
        who = self._names.intern(connection, "who", [by.who])[by.who]
        why = self._names.intern(connection, "why", [by.why])[by.why]
        cells = kept(connection)
        updates, adjustments = [], []
        for row, charged in changes:
            price_set = _priced_by(charged)
            new = _repriced(row, charged, sets[price_set.id] if price_set else None, reason_ids)
            cells.add(row, sign=-1)
            cells.add(new)
            updates.append((batch, new[METERS_END], new[_PRICE], new[_REASON], new[_COST], new[_ORIGINAL], row[0]))
            links = [side[at] for at in (_COST, _PRICE, _REASON) for side in (row, new)]
            adjustments.append((row[0], row[0], self._now_us, batch, who, why, *links, row[_STATED]))
        connection.exec_driver_sql(_UPDATE, updates)
        connection.exec_driver_sql(_ADJUST, adjustments)
        self._write_cells(connection, cells, [row[1] for row, _ in changes])

    def _write_cells(self, connection: Connection, cells: Cells, started: Sequence[int]) -> None:
        try:
            cells.write(connection, _USAGE_TABLES)
            refuse_dear_days(connection, started)
        except (TooDear, OverflowError):
            first, last = (format_day(day_number(us, "UTC")) for us in (started[0], started[-1]))
            raise InputError(f"{TOO_DEAR}, by what those from {first} to {last} would cost: correct it") from None


def _priced_by(charged: Charge) -> PriceSet | None:
    return charged.price_set if charged.cost is not None else None


def _repriced(row: Row, charged: Charge, price: int | None, reason_ids: Mapping[str, int]) -> Row:
    """The row with another charge. Its original cost is the first cost that it ever had, while that is another."""
    first = row[_ORIGINAL] if row[_ORIGINAL] is not None else row[_COST]
    new = list(row)
    new[METERS_END] = sparse_text(charged.meters)
    new[_COST], new[_PRICE] = charged.cost, price
    new[_REASON] = reason_ids[charged.unpriced_reason] if charged.unpriced_reason else None
    new[_ORIGINAL] = first if first != charged.cost else None
    new[_STATED] = None
    return tuple(new)
