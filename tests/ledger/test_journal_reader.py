"""Whatever happened to a segment's bytes, what is whole in it is read."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.core.errors import LockHeld
from collector.ledger.journal import (
    Open,
    Opening,
    Unreadable,
    Writer,
    batches,
    cut_tail,
    is_abandoned,
    opened,
    read,
    segment_source,
    segments,
)
from tests.ledger.journal_cases import call, counts, everything, ids_closed, ids_opened, records_of, written

ANY_BYTES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    return written(tmp_path / "journal")


def test_no_journal_has_no_segments(tmp_path: Path) -> None:
    assert segments(tmp_path / "absent") == []


@pytest.mark.parametrize("source", ["gateway", "my-own_files.2"])
def test_a_segments_name_says_its_source(tmp_path: Path, source: str) -> None:
    writer = Writer(tmp_path, source)
    writer.whole(call())
    writer.stop()
    assert [segment_source(path) for path in segments(tmp_path)] == [source]


def test_reading_on_from_every_end_gives_each_record_once(segment: Path) -> None:
    at_once = read(segment, 0, 10**6)
    assert records_of(segment) == at_once.records
    assert at_once.end == segment.stat().st_size
    assert counts([record for _, record in at_once.records]) == [1, 2, 3, 4, 5, 6, 7]


def test_a_line_longer_than_a_chunk_is_read_whole(segment: Path) -> None:
    assert len(read(segment, 0, 10).records) == 1


def test_room_that_is_not_written_yet_is_not_read(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    writer.open(call())
    (path,) = segments(tmp_path)
    chunk = read(path, 0, 10**6)
    assert len(chunk.records) == 1
    assert chunk.end < path.stat().st_size
    assert read(path, chunk.end, 10**6).records == []
    writer.stop()


@pytest.mark.parametrize("calls", [1, 2, 3, 100])
def test_batches_are_all_that_is_read_with_openings_only_skimmed(segment: Path, calls: int) -> None:
    with segment.open("r+b") as file:
        file.seek(records_of(segment)[4][0] + 20)
        file.write(b"*")
    pieces = list(batches(segment, 0, calls))
    found = [each for piece in pieces for each in piece.records]
    assert [(at, Open(r.n, opened(r)) if isinstance(r, Opening) else r) for at, r in found] == records_of(segment)
    assert any(isinstance(record, Unreadable) for _, record in found)
    assert all(sum(not isinstance(r, Opening) for _, r in piece.records) <= calls for piece in pieces)
    assert [piece.records[0][0] for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]
    assert pieces[-1].end == segment.stat().st_size


def test_a_batch_of_calls_that_do_not_end_is_no_larger_than_twice_as_many_records(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    for n in range(7):
        writer.open(call(n))
    (path,) = segments(tmp_path)
    assert [len(piece.records) for piece in batches(path, 0, 2)] == [4, 3]
    writer.stop()


@ANY_BYTES
@given(data=st.data())
def test_cut_at_any_byte_it_loses_at_most_its_torn_tail(segment: Path, data: st.DataObject) -> None:
    whole = segment.read_bytes()
    before = records_of(segment)
    at = data.draw(st.integers(0, len(whole)))
    nuls = data.draw(st.integers(0, 3000))
    copy = segment.with_name("cut.jnl")
    copy.write_bytes(whole[:at] + bytes(nuls))

    assert records_of(copy) == [(p, r) for p, r in before if whole.find(b"\n", p) < at]
    torn = cut_tail(copy)
    assert copy.read_bytes() + torn == whole[:at]
    assert records_of(copy) == [(p, r) for p, r in before if whole.find(b"\n", p) < at]


@ANY_BYTES
@given(data=st.data())
def test_a_flipped_bit_spoils_one_record_and_the_rest_is_read(segment: Path, data: st.DataObject) -> None:
    whole = segment.read_bytes()
    before = records_of(segment)
    at = data.draw(st.integers(0, len(whole) - 2))
    spoiled = whole[:at] + bytes([whole[at] ^ 1 << data.draw(st.integers(0, 7))]) + whole[at + 1 :]
    copy = segment.with_name("flipped.jnl")
    copy.write_bytes(spoiled)

    after = records_of(copy)
    hit = max(p for p, _ in before if p <= at)
    newline_lost = whole[at : at + 1] == b"\n"
    expected = [(p, r) for p, r in before if p != hit or newline_lost]
    assert [(p, r) for p, r in after if not isinstance(r, Unreadable)] == expected
    if not newline_lost:
        assert any(isinstance(r, Unreadable) and "checksum" in r.reason for _, r in after)


@pytest.mark.parametrize("length", [300, 40_000])
def test_a_hole_that_a_power_loss_left_is_named_and_what_follows_is_read(tmp_path: Path, length: int) -> None:
    path = written(tmp_path, calls=80)
    before = records_of(path)
    start = before[10][0] + 20
    with path.open("r+b") as file:
        file.seek(start)
        file.write(bytes(min(length, before[-5][0] - start)))
    after = records_of(path)
    assert after[:10] == before[:10]
    assert after[-5:] == before[-5:]
    assert any(isinstance(record, Unreadable) for _, record in after)


def test_two_records_whose_newline_was_lost_are_both_read(segment: Path) -> None:
    before = [record for _, record in records_of(segment)]
    whole = bytearray(segment.read_bytes())
    whole[whole.index(b"\n")] = ord("*")
    segment.write_bytes(whole)
    assert [record for _, record in records_of(segment)] == before


def test_a_living_writers_tail_is_never_cut(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    writer.open(call())
    (path,) = segments(tmp_path)
    size = path.stat().st_size
    assert not is_abandoned(path)
    with pytest.raises(LockHeld, match="still being written"):
        cut_tail(path)
    assert path.stat().st_size == size
    writer.stop()
    assert is_abandoned(path)
    assert cut_tail(path) == b""


def test_what_is_cut_is_handed_back(segment: Path) -> None:
    size = segment.stat().st_size
    with segment.open("ab") as file:
        file.write(b'12345678 {"kind":"op' + bytes(70_000))
    assert cut_tail(segment) == b'12345678 {"kind":"op'
    assert segment.stat().st_size == size
    assert len(everything(segment.parent)) == 12


def test_a_segment_of_nothing_but_room_is_cut_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "0-gateway-1-a.jnl"
    path.write_bytes(bytes(200_000))
    assert read(path, 0, 4096).records == []
    assert cut_tail(path) == b""
    assert path.stat().st_size == 0


def test_a_read_that_a_write_overtakes_is_looked_at_again_and_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel copies page by page: a read may see the end of a record and NULs where its middle will be."""
    path = written(tmp_path)
    whole, (_, second, third, *_) = path.read_bytes(), [position for position, _ in records_of(path)]

    def page(start: int, length: int) -> bytes:
        return whole[:start] + bytes(length) + whole[start + length :]

    looks = [page(second + 30, 50)[:third] + bytes(9000), page(third + 30, 50)]
    monkeypatch.setattr(os, "pread", lambda fd, length, position: looks.pop(0)[position : position + length])
    chunk = read(path, 0, 10**6)
    monkeypatch.undo()
    assert chunk.records == records_of(path)[:2]
    assert chunk.end == third


def test_reading_beside_a_busy_writer_never_sees_half_a_record(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        writer = Writer(tmp_path, "gateway", fsync="interval")
        for n in range(4000):
            writer.close(writer.open(call(n)), call(n))
        os._exit(0)
    found, position, gone = [], 0, False
    while True:
        gone = gone or os.waitpid(pid, os.WNOHANG)[0] == pid
        paths = segments(tmp_path)
        chunk = read(paths[0], position, 1 << 20) if paths else None
        if chunk and chunk.records:
            found += [record for _, record in chunk.records]
            position = chunk.end
        elif gone:
            break
    assert not [record for record in found if isinstance(record, Unreadable)]
    assert ids_opened(found) == ids_closed(found)
    assert counts(found) == list(range(1, 4001))
