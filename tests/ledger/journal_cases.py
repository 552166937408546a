"""Calls and journals for the journal's tests."""

from pathlib import Path

from collector.core.calls import Attempt, Call, call_id_at
from collector.core.errors import JournalFull
from collector.core.outcomes import Outcome
from collector.ledger.journal import Close, Open, Reject, Ticket, Unreadable, Whole, Writer, read, segments
from collector.ledger.journal.reader import Record

START = 1_790_000_000_000_000


def call(n: int = 0, **fields: object) -> Call:
    """The n-th call: one id for each n."""
    started_at = START + n
    return Call(
        **{
            "id": call_id_at(started_at, n.to_bytes(8, "big")),
            "source": "gateway",
            "started_at": started_at,
            "outcome": Outcome.OK,
            "model": "openai/gpt-4-turbo",
            "provider": "openai",
            "meters": {"input": 1000 + n, "output": 500},
            "quality": "exact",
            **fields,
        }
    )


def largest_call(n: int = 0, letter: str = "字") -> Call:
    """A call whose every name has the length that `clip` leaves, with everything stated."""
    long = letter * 256
    tried = Attempt(long, long, START, Outcome.OK, 503, long, 10**9, 10**9)
    names = dict.fromkeys(
        ("model", "served_model", "provider", "origin_id", "app", "app_title", "key", "user", "session"), long
    )
    more = dict.fromkeys(("error_type", "usage_problem", "service_tier", "native_finish_reason"), long)
    more["plan"] = 16 * long
    numbers = dict.fromkeys(("http_status", "latency_ms", "first_token_ms", "reported_cost", "cost"), 10**17)
    return call(n, **names, **more, **numbers, tags={long + str(i): long for i in range(8)}, attempts=(tried,) * 5)


def open_until_full(writer: Writer, first: int = 0, most: int = 10_000) -> list[Ticket]:
    """Open calls `first`, `first` + 1, ... until the journal is full; fails when it never is."""
    tickets: list[Ticket] = []
    for n in range(first, most):
        try:
            tickets.append(writer.open(call(n)))
        except JournalFull:
            return tickets
    raise AssertionError(f"{most} calls were opened and the journal is not full")


def everything(journal_dir: Path) -> list[Record | Unreadable]:
    """All records of all segments, in order."""
    found: list[Record | Unreadable] = []
    for path in segments(journal_dir):
        found += [record for _, record in records_of(path)]
    return found


def records_of(path: Path) -> list[tuple[int, Record | Unreadable]]:
    """All records of one segment with their positions, read in small pieces."""
    found: list[tuple[int, Record | Unreadable]] = []
    position = 0
    while True:
        chunk = read(path, position, 1000)
        found += chunk.records
        if chunk.end == position:
            return found
        position = chunk.end


def written(journal_dir: Path, calls: int = 5) -> Path:
    """A finished segment: `calls` opened and closed, one whole call, one reject; 2 * calls + 2 records."""
    writer = Writer(journal_dir, "gateway", fsync="interval")
    for n in range(calls):
        writer.close(writer.open(call(n, outcome=Outcome.INTERRUPTED, meters={})), call(n))
    writer.whole(call(calls))
    writer.reject(7, "no model", "a\nb\0c")
    writer.stop()
    (path,) = segments(journal_dir)
    return path


def ids_closed(records: list[Record | Unreadable]) -> set[str]:
    return {record.call.id for record in records if isinstance(record, Close)}


def ids_opened(records: list[Record | Unreadable]) -> set[str]:
    return {record.call.id for record in records if isinstance(record, Open)}


def counts(records: list[Record | Unreadable]) -> list[int]:
    return [record.n for record in records if isinstance(record, Open | Whole | Reject)]
