"""What the usage APIs have in common: days in pieces, rows of one key added up, a mark where days were read whole."""

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, NamedTuple, TypeVar

import msgspec

from collector.core.errors import SourceError
from collector.core.periods import DAY_S
from collector.core.told import ProviderSum, SumsRead
from collector.intake.pulls.asking import Asker, Params

MAX_ROWS = 200_000  # of one piece
STEP_DAYS = 31  # the most buckets of a day that OpenAI and Anthropic give at once


class Days(NamedTuple):
    """Days [first, end), counted from 1970 UTC."""

    first: int
    end: int


class Reading(NamedTuple):
    """Who is asked, as the ledger names it, when, and how many pages at most."""

    source: str
    provider: str
    read_at: int
    max_pages: int = 2_000


B = TypeVar("B")


class Page(msgspec.Struct, Generic[B]):
    """One page of an answer: buckets of a day each."""

    data: list[B]
    has_more: bool = False
    next_page: str | None = None


Read = Callable[[Asker, Reading, Days], Iterator[ProviderSum]]


def read_days(read: Read, asker: Asker, reading: Reading, days: Days, step: int) -> Iterator[ProviderSum | SumsRead]:
    """The sums of days, `step` of them at a time, the oldest first; each piece ends with its mark.

    A piece that fails leaves what was read before it, and its mark is missing: the next reading begins there.
    """
    for first in range(days.first, days.end, step):
        piece = Days(first, min(first + step, days.end))
        yield from added_up(read(asker, reading, piece), piece)
        yield SumsRead(reading.source, reading.provider, piece.first, piece.end, reading.read_at)


def added_up(sums: Iterator[ProviderSum], days: Days) -> list[ProviderSum]:
    """One row for each key; rows of other days than those asked for are left out. Raises SourceError for too many."""
    found: dict[tuple[object, ...], ProviderSum] = {}
    for each in sums:
        if not days.first <= each.day < days.end:
            continue
        key = (each.day, each.model, each.key, each.line)
        found[key] = _sum(found[key], each) if key in found else each
        if len(found) > MAX_ROWS:
            raise SourceError(f"{each.source} gave more than {MAX_ROWS:,} rows for {days.end - days.first} days")
    return list(found.values())


def _sum(one: ProviderSum, other: ProviderSum) -> ProviderSum:
    meters = {name: one.meters.get(name, 0) + other.meters.get(name, 0) for name in {**one.meters, **other.meters}}
    requests, cost = _added(one.requests, other.requests), _added(one.cost, other.cost)
    return msgspec.structs.replace(one, meters=meters, requests=requests, cost=cost)


def _added(a: int | None, b: int | None) -> int | None:
    return (a or 0) + (b or 0) if a is not None or b is not None else None


def disjoint(
    what: str, total_name: str, total: int | None, parts: Mapping[str, int | None], rest: str
) -> dict[str, int]:
    """Meters of a total and the parts that it holds: the parts that are stated, and what is left as `rest`.

    Raises SourceError naming both numbers when the parts are more than the total.
    """
    stated = {name: count for name, count in parts.items() if count is not None}
    if total is None:
        return stated
    left = total - sum(stated.values())
    if left < 0 or any(count < 0 for count in stated.values()):
        raise SourceError(f"{what}: {total_name} {total} is less than its parts {stated}")
    return {**stated, rest: left}


def buckets(asker: Asker, path: str, kind: type[B], params: Params, max_pages: int) -> Iterator[B]:
    """The buckets of all pages of an answer. Raises SourceError for a page that follows itself, and for too many."""
    page: str | None = None
    daily = [*params, ("bucket_width", "1d"), ("limit", str(STEP_DAYS))]
    for _ in range(max_pages):
        answer = asker.get(path, Page[kind], [*daily, ("page", page)] if page else daily)  # type: ignore[valid-type]
        yield from answer.data
        if not answer.has_more or not answer.next_page:
            return
        if answer.next_page == page:
            raise SourceError(f"{asker.host}{path} names the same page as its next one for ever")
        page = answer.next_page
    raise SourceError(f"{asker.host}{path} has more than max_pages = {max_pages} pages")


def day_of(seconds: int) -> int:
    """The UTC day of seconds since 1970."""
    return seconds // DAY_S
