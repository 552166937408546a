"""Line items out of a ledger: of days as they were used, and of a month as it is booked. Each is a stream."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache

import msgspec
from sqlalchemy import Connection

from collector.core.periods import Period, day_bounds, parse_day
from collector.core.prices import PriceSet
from collector.finance.lines import Line, changes_of, correction_lines, lines_of, sums_of
from collector.finance.months import Month, month_of
from collector.finance.tally import Tally
from collector.ledger.questions.ask import AnyRow, Question
from collector.ledger.questions.booked import BEFORE, BY, Books, booked_in, first_day, used
from collector.ledger.questions.cells import Source
from collector.ledger.questions.items import changes_by_price, sums_of_source
from collector.ledger.questions.prices import bodies_of

_ROWS_AT_ONCE = 1_000


def streamed(connection: Connection, question: Question) -> Iterable[AnyRow]:
    """The rows of a question, some at a time."""
    return connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(question)


def usage_lines(connection: Connection, question: Question, by: Sequence[str], tally: Tally) -> Iterator[Line]:
    """The lines of a question for sums by price, whose calls are counted in `tally`."""
    price_set_of = price_sets(connection)
    for sums in sums_of(streamed(connection, question), by):
        tally.calls += sums.calls
        tally.unpriced_calls += sums.calls if sums.is_unpriced else 0
        yield from lines_of(sums, price_set_of)


def booked_lines(
    connection: Connection, zones: Collection[str], books: Books, month: Month, by: Sequence[str], tally: Tally
) -> Iterator[Line]:
    """The lines that a month books, by BOOKED_BY or some of it: its own usage, then what it corrects of earlier ones.

    Closed, it is what was booked then; open, it is what it would book now. Corrections stand in the first open month.
    """
    own, change = _sides(connection, zones, books, month)
    names = [name for name in BY if name in by]
    for line in usage_lines(connection, sums_of_source(own, names), names, tally):
        yield _booked(line, month.name, "")
    if change is None:
        return
    price_set_of = price_sets(connection)
    for old, new in changes_of(streamed(connection, changes_by_price(*change, names)), names):
        tally.calls += new.calls - old.calls
        tally.unpriced_calls += new.calls - old.calls if new.is_unpriced else 0
        for line in correction_lines(old, new, price_set_of):
            yield _booked(line, month.name, month_of(parse_day(line.group[0])))


def _sides(
    connection: Connection, zones: Collection[str], books: Books, month: Month
) -> tuple[Source, tuple[Source, Source] | None]:
    """Where a month's own usage is, and what is compared for its corrections: what is now, what was booked before."""
    close, open_day = books.close_of(month.name), books.open_day
    first = min(first_day(connection, month.period.zone), month.first_day)
    if close is not None:
        now, before = (booked_in(first, month.first_day, up_to) for up_to in (close.id, close.id - 1))
        return booked_in(month.first_day, month.end_day, close.id), (now, before)
    if open_day is not None and month.first_day < open_day:
        return booked_in(month.first_day, month.end_day, BEFORE), None
    own = used(month.period, zones)
    if open_day != month.first_day or first == month.first_day:
        return own, None
    earlier = Period(day_bounds(first, month.period.zone)[0], month.period.start_us, month.period.zone)
    return own, (used(earlier, zones), booked_in(first, month.first_day))


def _booked(line: Line, booking_month: str, corrects: str) -> Line:
    day, *names = line.group
    return line._replace(group=(day, booking_month, corrects, *names))


def price_sets(connection: Connection) -> Callable[[str], PriceSet]:
    """The price sets of a ledger by their digest, each read when it is first asked for."""

    @lru_cache(maxsize=10_000)
    def price_set_of(digest: str) -> PriceSet:
        return PriceSet.from_plain(msgspec.json.decode(bodies_of(connection, [digest])[digest]))

    return price_set_of
