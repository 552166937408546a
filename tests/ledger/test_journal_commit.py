"""Who waits for durability shares syncs, and is never released before the one that covers it."""

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.core.errors import JournalFailed
from collector.ledger.journal import Writer, segments
from collector.ledger.journal import segment as segment_module
from tests.ledger.journal_cases import call, everything
from tests.ledger.test_journal_writer import eventually


class Disk:
    """Stands in for fdatasync: counts syncs, can hold them back, and knows how much of each file is durable."""

    def __init__(self) -> None:
        self.syncs = 0
        self.durable = 0  # bytes of the only segment
        self.path: Callable[[], Path] | None = None
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Event()
        self.failure: OSError | None = None
        self.threads: list[str] = []

    def sync(self, fd: int) -> None:
        self.threads.append(threading.current_thread().name)
        length = len(os.pread(fd, 1 << 24, 0).rstrip(b"\0"))
        self.begun.set()
        self.go.wait()
        if self.failure:
            raise self.failure
        self.syncs += 1
        self.durable = length


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(segment_module, "sync_data", disk.sync)
    return disk


def written_bytes(journal_dir: Path) -> int:
    return len(segments(journal_dir)[0].read_bytes().rstrip(b"\0"))


def test_those_who_wait_during_a_sync_share_the_next_one(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    disk.go.clear()

    async def finish(n: int) -> None:
        writer.close(writer.open(call(n)), call(n))
        await writer.settled()

    async def main() -> None:
        first = asyncio.create_task(finish(0))
        await asyncio.to_thread(disk.begun.wait)
        others = [asyncio.create_task(finish(n)) for n in range(1, 200)]
        await asyncio.sleep(0)
        assert not first.done()
        disk.go.set()
        await asyncio.gather(first, *others)

    asyncio.run(main())
    assert disk.syncs == 2
    writer.stop()


def test_no_one_is_released_before_the_sync_that_covers_it(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)

    async def finish(first: int) -> None:
        for n in range(first, first + 40):
            writer.close(writer.open(call(n)), call(n))
            mine = written_bytes(tmp_path)
            await writer.settled()
            assert disk.durable >= mine

    async def main() -> None:
        await asyncio.gather(*(finish(1000 * n) for n in range(8)))

    asyncio.run(main())
    writer.stop()
    assert 0 < disk.syncs <= 321


def test_a_record_appended_while_a_sync_runs_is_not_covered_by_it(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    disk.go.clear()
    writer.whole(call(1))
    early = threading.Thread(target=writer.sync)
    early.start()
    disk.begun.wait()
    writer.whole(call(2))
    disk.go.set()
    early.join()
    assert disk.durable < written_bytes(tmp_path)
    writer.sync()
    assert disk.durable == written_bytes(tmp_path)
    writer.stop()


def finish_alone(writer: Writer, calls: int) -> None:
    async def main() -> None:
        for n in range(calls):
            writer.close(writer.open(call(n)), call(n))
            await writer.settled()

    asyncio.run(main())


def test_alone_on_a_quick_disk_a_call_does_not_wait_for_a_thread(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    finish_alone(writer, 1)
    writer._sync_s = 0.0  # whatever the machine's load made of it
    finish_alone(writer, 1)
    assert disk.threads == ["journal-commit", "MainThread"]
    assert disk.durable == written_bytes(tmp_path)
    writer.stop()


def test_beside_another_open_call_the_loop_is_never_held_up_by_the_disk(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    writer.open(call(9))
    finish_alone(writer, 3)
    assert set(disk.threads) == {"journal-commit"}
    writer.stop()


def test_on_a_slow_disk_the_loop_is_never_held_up(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    writer.whole(call(8))
    writer._sync_s = 0.02
    finish_alone(writer, 1)
    assert disk.threads == ["journal-commit"]
    writer.stop()


def test_a_call_that_is_alone_does_not_overtake_a_sync_that_runs(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    disk.go.clear()
    writer.whole(call(8))
    early = threading.Thread(target=writer.sync)
    early.start()
    disk.begun.wait()
    writer._sync_s = 0.0
    late = threading.Thread(target=finish_alone, args=(writer, 1))
    late.start()
    late.join(0.05)
    assert late.is_alive()
    disk.go.set()
    early.join()
    late.join()
    assert disk.durable == written_bytes(tmp_path)
    writer.stop()


def test_under_interval_no_one_waits_and_the_timer_syncs(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", fsync="interval", tick_s=0.01)
    disk.go.clear()
    writer.close(writer.open(call()), call())
    asyncio.run(writer.settled())  # would hang if it waited
    assert disk.syncs == 0
    disk.go.set()
    eventually(lambda: disk.durable == written_bytes(tmp_path))
    writer.stop()


def test_nothing_new_needs_no_sync(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    writer.whole(call())
    writer.sync()
    writer.sync()
    asyncio.run(writer.settled())
    assert disk.syncs == 1
    writer.stop()


def test_a_waiter_that_is_cancelled_holds_up_no_one(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    disk.go.clear()

    async def main() -> None:
        writer.whole(call(1))
        gone, stays = asyncio.create_task(writer.settled()), asyncio.create_task(writer.settled())
        await asyncio.to_thread(disk.begun.wait)
        gone.cancel()
        disk.go.set()
        await stays
        assert gone.cancelled() or gone.cancelling()

    asyncio.run(main())
    writer.stop()


def test_a_failed_sync_is_told_to_all_who_wait_and_never_forgotten(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)
    ticket = writer.open(call(1))
    disk.failure = OSError(5, "Input/output error")
    with pytest.raises(JournalFailed, match="could not be synced: Input/output error"):
        writer.sync()
    disk.failure = None  # the kernel reports a lost page once; it is lost all the same
    writer.close(ticket, call(1))
    with pytest.raises(JournalFailed, match="Input/output error"):
        asyncio.run(writer.settled())
    writer.whole(call(2))
    assert len(segments(tmp_path)) == 2
    with pytest.raises(JournalFailed):
        writer.stop()
    assert len(everything(tmp_path)) == 3


def test_who_waits_in_the_turn_in_which_all_stops_is_released_too(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)

    async def main() -> None:
        still_open = writer.open(call(2))
        writer.close(writer.open(call(1)), call(1))
        waiting = asyncio.ensure_future(writer.settled())
        asyncio.get_running_loop().call_soon(writer.stop)
        await asyncio.wait_for(waiting, 10)
        assert disk.durable == written_bytes(tmp_path)
        assert not still_open.closed

    asyncio.run(main())


def test_who_waits_when_the_last_sync_fails_is_told_so(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=60)

    def stop() -> None:
        disk.failure = OSError(5, "Input/output error")
        with pytest.raises(JournalFailed):
            writer.stop()

    async def main() -> None:
        writer.open(call(2))
        writer.close(writer.open(call(1)), call(1))
        waiting = asyncio.ensure_future(writer.settled())
        asyncio.get_running_loop().call_soon(stop)
        with pytest.raises(JournalFailed):
            await asyncio.wait_for(waiting, 10)

    asyncio.run(main())


def test_after_a_failed_sync_new_calls_are_durable_in_a_new_segment(tmp_path: Path, disk: Disk) -> None:
    writer = Writer(tmp_path, "gateway", tick_s=0.01)
    disk.failure = OSError(5, "Input/output error")
    writer.whole(call(1))
    with pytest.raises(JournalFailed):
        writer.sync()
    disk.failure = None
    writer.whole(call(2))

    def synced() -> bool:
        try:
            writer.sync()
        except JournalFailed:
            return False
        return True

    eventually(synced)
    writer.stop()
    assert len(segments(tmp_path)) == 2


def test_a_real_disk_syncs_far_fewer_times_than_calls_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    real = segment_module.sync_data
    monkeypatch.setattr(segment_module, "sync_data", lambda fd: (syncs.append(fd), real(fd))[1])
    writer = Writer(tmp_path, "gateway", tick_s=60)

    async def finish(first: int) -> None:
        for n in range(first, first + 20):
            ticket = writer.open(call(n))
            await asyncio.sleep(0)
            writer.close(ticket, call(n))
            await writer.settled()

    async def main() -> None:
        await asyncio.gather(*(finish(1000 * n) for n in range(50)))

    asyncio.run(main())
    writer.stop()
    assert len(syncs) < 200  # of 1,000 that waited
