"""A writer keeps each call whole in one segment, counts what it took, and begins anew where it must."""

import os
import threading
import time
from pathlib import Path

import pytest

from collector.core.errors import JournalFailed, JournalFull, UsageError
from collector.ledger.journal import Close, Open, Reject, Uncounted, Whole, Writer, is_abandoned, segments
from collector.ledger.journal import segment as segment_module
from collector.settings import Limits
from tests.ledger.journal_cases import (
    call,
    counts,
    everything,
    ids_closed,
    ids_opened,
    largest_call,
    open_until_full,
    records_of,
)


def eventually(condition: object, seconds: float = 20.0) -> None:
    """Wait for a condition that another thread makes true."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


def test_what_is_recorded_is_read_in_order(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    ticket = writer.open(call(1))
    writer.whole(call(2))
    writer.reject(9, "no model", "x")
    writer.uncounted(3, 10, 20)
    writer.close(ticket, call(1, http_status=200))
    writer.stop()
    assert everything(tmp_path) == [
        Open(1, call(1)),
        Whole(2, call(2)),
        Reject(3, 9, "no model", "x"),
        Uncounted(3, 10, 20),
        Close(call(1, http_status=200)),
    ]


def test_a_writer_that_records_nothing_leaves_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "journal", "gateway")
    writer.sync()
    writer.stop()
    assert not (tmp_path / "journal").exists()


def test_a_second_close_does_nothing(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    ticket = writer.open(call())
    writer.close(ticket, call())
    writer.close(ticket, call(http_status=500))
    writer.stop()
    assert everything(tmp_path) == [Open(1, call()), Close(call())]


def test_a_source_that_cannot_name_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'\.\./x'"):
        Writer(tmp_path, "../x")


def test_stopped_it_leaves_no_unused_room_and_no_lock(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    writer.open(call())
    writer.stop()
    (path,) = segments(tmp_path)
    assert is_abandoned(path)
    assert path.read_bytes().count(b"\0") == 0


def test_a_full_segment_is_followed_by_another_and_no_call_is_split(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway", Limits(segment_bytes=2000), fsync="interval")
    tickets = []
    for n in range(60):
        tickets.append((n, writer.open(call(n))))
        if n % 3 == 2:
            for done, ticket in tickets[-3:-1]:
                writer.close(ticket, call(done))
    for n, ticket in tickets:
        writer.close(ticket, call(n))
    writer.stop()
    paths = segments(tmp_path)
    assert len(paths) > 5
    for path in paths:
        records = [record for _, record in records_of(path)]
        assert ids_opened(records) == ids_closed(records)
        assert counts(records) == list(range(1, len(counts(records)) + 1))
    assert ids_closed(everything(tmp_path)) == {call(n).id for n in range(60)}


def test_a_segment_stays_locked_until_its_open_calls_are_closed(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway", Limits(segment_bytes=1), tick_s=0.01)
    ticket = writer.open(call(1))
    other = writer.open(call(2))
    first, second = segments(tmp_path)
    writer.close(other, call(2))
    writer.open(call(3))
    eventually(lambda: is_abandoned(second))
    assert not is_abandoned(first)
    writer.close(ticket, call(1))
    eventually(lambda: is_abandoned(first))
    assert [record for _, record in records_of(first)] == [Open(1, call(1)), Close(call(1))]
    assert b"\0" not in first.read_bytes()
    writer.stop()


def test_a_segment_that_is_old_and_closed_is_let_go_without_another_call(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway", retire_after_s=0.05, tick_s=0.01)
    writer.close(writer.open(call(1)), call(1))
    (old,) = segments(tmp_path)
    eventually(lambda: is_abandoned(old))
    writer.close(writer.open(call(2)), call(2))
    writer.stop()
    assert len(segments(tmp_path)) == 2


def test_many_threads_share_one_writer(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway", Limits(segment_bytes=20_000))

    def work(first: int) -> None:
        for n in range(first, first + 50):
            writer.close(writer.open(call(n)), call(n))
            writer.sync()

    threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.stop()
    records = everything(tmp_path)
    assert len(ids_closed(records)) == 400
    assert ids_closed(records) == ids_opened(records)
    assert len(records) == 800


def test_a_forks_child_writes_a_segment_of_its_own_and_the_parent_keeps_its_lock(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    ticket = writer.open(call(1))
    pid = os.fork()
    if pid == 0:
        writer.close(writer.open(call(2)), call(2))
        writer.sync()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    parents, childs = segments(tmp_path)
    assert not is_abandoned(parents)
    assert is_abandoned(childs)
    writer.close(ticket, call(1))
    writer.stop()
    assert [record for _, record in records_of(parents)] == [Open(1, call(1)), Close(call(1))]
    assert [record for _, record in records_of(childs)] == [Open(1, call(2)), Close(call(2))]


def test_a_lock_ends_with_its_writers_process_although_a_fork_of_it_lives_on(tmp_path: Path) -> None:
    ready_reading, ready = os.pipe()
    until, until_writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        writer = Writer(tmp_path, "gateway")
        writer.open(call(1))
        if os.fork() == 0:
            os.write(ready, b".")
            os.close(until_writing)
            os.read(until, 1)  # until the test is done
        else:
            os.read(ready_reading, 1)
        os._exit(0)
    os.waitpid(parent, 0)
    (path,) = segments(tmp_path)
    assert is_abandoned(path)
    for fd in (ready_reading, ready, until, until_writing):
        os.close(fd)


def test_the_bound_of_the_journal_turns_calls_away_and_open_ones_still_close(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway", Limits(journal_bytes=200_000), fsync="interval")
    tickets = open_until_full(writer)
    with pytest.raises(JournalFull, match="journal_bytes = 200000"):
        writer.open(call(len(tickets)))
    assert len(tickets) > 15
    for n, ticket in enumerate(tickets):
        writer.close(ticket, largest_call(n))
    writer.stop()
    assert len(ids_closed(everything(tmp_path))) == len(tickets)
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= 200_000


def test_a_close_may_be_larger_than_its_room_while_the_disk_has_more(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    writer.close(writer.open(call(1)), largest_call(1))
    writer.stop()
    assert everything(tmp_path)[-1] == Close(largest_call(1))


def test_a_directory_that_cannot_be_made_turns_calls_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer = Writer(tmp_path / "file" / "journal", "gateway")
    with pytest.raises(JournalFull, match="Not a directory"):
        writer.open(call())


def test_a_disk_that_fails_while_a_call_is_closed_is_told_and_the_close_can_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path, "gateway")
    ticket = writer.open(call(1))

    def fail(fd: int, data: bytes, position: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(segment_module, "write_at", fail)
        with pytest.raises(JournalFailed, match="Input/output error"):
            writer.close(ticket, call(1))
        with pytest.raises(JournalFull, match="Input/output error"):
            writer.open(call(2))
    writer.close(ticket, call(1))
    writer.stop()
    assert everything(tmp_path) == [Open(1, call(1)), Close(call(1))]


def test_a_disk_that_does_not_take_unused_room_back_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int, length: int) -> None:
        raise OSError(30, "Read-only file system")

    writer = Writer(tmp_path, "gateway", Limits(segment_bytes=1), tick_s=0.01)
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", fail)
        for n in (1, 2):
            writer.close(writer.open(call(n)), call(n))
        first = segments(tmp_path)[0]
        eventually(lambda: is_abandoned(first))
    syncing = threading.Thread(target=writer.sync, daemon=True)
    writer.whole(call(3))
    syncing.start()
    syncing.join(20)
    assert not syncing.is_alive()
    writer.stop()
    assert ids_closed(everything(tmp_path)) == ids_opened(everything(tmp_path)) == {call(1).id, call(2).id}
