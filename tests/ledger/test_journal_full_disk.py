"""On a disk without room new calls are turned away, and every call that was taken on can be closed."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.core.errors import JournalFull
from collector.ledger.journal import Close, Uncounted, Writer
from collector.settings import Limits
from tests.ledger.journal_cases import call, everything, ids_closed, largest_call, open_until_full


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    target = tmp_path / "disk"
    target.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root; the file size limit's test runs everywhere")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(target)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    yield target
    subprocess.run(["umount", "--lazy", str(target)], check=True)


def fill(directory: Path) -> None:
    """Take every byte that is left."""
    with (directory / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_disk_that_fills_up_turns_calls_away_and_open_ones_close(tiny_disk: Path) -> None:
    writer = Writer(tiny_disk / "journal", "gateway")
    tickets = open_until_full(writer)
    fill(tiny_disk)
    assert len(tickets) > 50
    for n, ticket in enumerate(tickets):
        writer.close(ticket, largest_call(n))
    writer.sync()
    writer.stop()
    closed = [record for record in everything(tiny_disk / "journal") if isinstance(record, Close)]
    assert [record.call.id for record in closed] == [call(n).id for n in range(len(tickets))]
    assert [record.call.meters for record in closed] == [largest_call(n).meters for n in range(len(tickets))]


def test_a_disk_that_others_fill_turns_calls_away_and_open_ones_close(tiny_disk: Path) -> None:
    writer = Writer(tiny_disk / "journal", "gateway", Limits(segment_bytes=2000))
    tickets = [writer.open(call(n)) for n in range(40)]
    fill(tiny_disk)
    tickets += open_until_full(writer, first=40)
    with pytest.raises(JournalFull, match="No space left on device"):
        writer.open(call(len(tickets)))
    for n, ticket in enumerate(tickets):
        writer.close(ticket, call(n))
    writer.stop()
    assert ids_closed(everything(tiny_disk / "journal")) == {call(n).id for n in range(len(tickets))}


def test_calls_let_pass_uncounted_are_counted_once_there_is_room(tiny_disk: Path) -> None:
    writer = Writer(tiny_disk / "journal", "gateway")
    fill(tiny_disk)
    with pytest.raises(JournalFull):
        writer.open(call())
    (tiny_disk / "filler").unlink()
    writer.uncounted(17, 5, 9)
    writer.stop()
    assert everything(tiny_disk / "journal")[-1] == Uncounted(17, 5, 9)


_UNDER_A_FILE_SIZE_LIMIT = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from collector.core.errors import JournalFull
from collector.ledger.journal import Writer
from tests.ledger.journal_cases import call, largest_call
writer = Writer(Path(sys.argv[1]), "gateway")
tickets = []
try:
    while True:
        tickets.append(writer.open(call(len(tickets))))
except JournalFull as full:
    assert "File too large" in str(full), full
for n, ticket in enumerate(tickets):
    writer.close(ticket, largest_call(n))
writer.stop()
print(len(tickets))
"""


def test_where_a_file_may_not_grow_open_calls_close(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _UNDER_A_FILE_SIZE_LIMIT, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    calls = int(done.stdout)
    assert calls > 20
    assert ids_closed(everything(tmp_path)) == {call(n).id for n in range(calls)}
