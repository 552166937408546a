"""A writer that is killed leaves every record it wrote, a free lock, and nothing that another could mistake."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collector.core.errors import LockHeld
from collector.ledger.journal import Unreadable, Writer, cut_tail, is_abandoned, segments
from tests.ledger.journal_cases import call, counts, everything, ids_closed, ids_opened

_BUSY_WRITER = """
import os, sys
from pathlib import Path
from collector.ledger.journal import Writer
from tests.ledger.journal_cases import call
writer = Writer(Path(sys.argv[1]), "gateway", fsync="interval")
kept = [writer.open(call(n)) for n in range(500)]
n = 500
while True:
    ticket = writer.open(call(n))
    writer.close(ticket, call(n))
    os.write(1, b"%d\\n" % n)
    n += 1
"""


def start_busy_writer(journal_dir: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", _BUSY_WRITER, str(journal_dir)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )


@pytest.mark.parametrize("after", [1, 150, 2500])
def test_a_killed_writers_records_are_all_there(tmp_path: Path, after: int) -> None:
    with start_busy_writer(tmp_path) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(after)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split(b"\n")[:-1]]
    (path,) = segments(tmp_path)
    assert is_abandoned(path)
    cut_tail(path)
    assert path.read_bytes().endswith(b"\n")
    records = everything(tmp_path)
    assert not [record for record in records if isinstance(record, Unreadable)]
    closed, opened = ids_closed(records), ids_opened(records)
    assert {call(n).id for n in told} <= closed
    assert {call(n).id for n in range(500)} <= opened - closed
    assert len(opened - closed) <= 501
    assert counts(records) == list(range(1, len(opened) + 1))


def test_another_process_never_cuts_a_living_writers_tail(tmp_path: Path) -> None:
    with start_busy_writer(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (path,) = segments(tmp_path)
        assert not is_abandoned(path)
        with pytest.raises(LockHeld):
            cut_tail(path)
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    assert is_abandoned(path)


def test_two_writers_in_one_directory_do_not_meet(tmp_path: Path) -> None:
    one, other = Writer(tmp_path, "gateway"), Writer(tmp_path, "gateway")
    one.close(one.open(call(1)), call(1))
    other.close(other.open(call(2)), call(2))
    one.stop()
    assert sorted(is_abandoned(path) for path in segments(tmp_path)) == [False, True]
    other.stop()
    assert ids_closed(everything(tmp_path)) == {call(1).id, call(2).id}


def test_a_lock_is_not_handed_to_a_program_that_the_writer_starts(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "gateway")
    writer.open(call())
    (path,) = segments(tmp_path)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as child:
        writer.stop()
        assert is_abandoned(path)
        os.kill(child.pid, signal.SIGKILL)
