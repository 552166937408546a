"""Jobs side by side, each in a process of its own: one that is slow, hangs or dies holds up no other.

Jobs of one lane go one after another: those that ask the same source, and the long ones of the books.
"""

import contextlib
import gc
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

import msgspec
from sqlalchemy.exc import DBAPIError

from collector.core.errors import CallmeterError
from collector.jobs.doing import Ending, due, perform, told
from collector.jobs.runs import end_newest
from collector.jobs.work import Job, Work
from collector.ledger.cells import Progress
from collector.ledger.engines import open_ledger
from collector.settings import Settings

GRACE_S = 15.0  # beyond its limit a job hangs where no signal reaches it
STOP_S = 5.0  # for a job that is stopped to put away what it made
_FORK = get_context("fork")
_STOPPING = (signal.SIGINT, signal.SIGTERM)


class _Running(msgspec.Struct):
    job: Job
    process: ForkProcess
    result: Connection
    kill_at: float


class Crew:
    """The processes of the jobs that run, and the jobs that wait for their lane. `now` gives microseconds UTC."""

    def __init__(
        self, settings: Settings, now: Callable[[], int], jobs: Sequence[Job], progress: Progress | None = None
    ) -> None:
        self._settings, self._now, self._jobs, self._progress = settings, now, jobs, progress
        self._running: list[_Running] = []
        self._waiting: deque[Job] = deque()

    def begin(self) -> None:
        """Begins what is due. No connection to the ledger is open meanwhile: none may pass on to another process."""
        busy = {job.name for job in (*self._waiting, *(each.job for each in self._running))}
        self._waiting += [job for job in due(self._settings, self._now, self._jobs) if job.name not in busy]
        self._fill_lanes()

    def is_idle(self) -> bool:
        """Whether nothing runs."""
        return not self._running

    def ended(self, within_s: float) -> list[Ending]:
        """How jobs ended, once one has, or after a while. One that hangs is killed."""
        kill_in = min((each.kill_at for each in self._running), default=0.0) - time.monotonic()
        wait([each.process.sentinel for each in self._running], max(0.0, min(within_s, kill_in)))
        over = [each for each in self._running if not each.process.is_alive() or time.monotonic() >= each.kill_at]
        self._running = [each for each in self._running if each not in over]
        endings = [self._ending(each) for each in over]
        self._fill_lanes()
        return endings

    def stop(self) -> None:
        """Ends everything: what was stopped is done by a later round."""
        self._waiting.clear()
        for each in self._running:
            each.process.terminate()
        until = time.monotonic() + STOP_S
        for each in self._running:
            each.process.join(max(0.0, until - time.monotonic()))
            each.process.kill()
            each.process.join()
        self._running.clear()

    def _fill_lanes(self) -> None:
        busy = {lane_of(each.job) for each in self._running}
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            if lane_of(job) in busy:
                self._waiting.append(job)
            else:
                busy.add(lane_of(job))
                self._running.append(self._started(job))

    def _started(self, job: Job) -> _Running:
        result, its_end = _FORK.Pipe(duplex=False)
        arguments = (self._settings, self._now, job, self._progress, its_end)
        process = _FORK.Process(target=_do, args=arguments, name=f"job {job.name}", daemon=True)
        with _uninterrupted():
            process.start()
        its_end.close()
        return _Running(job, process, result, time.monotonic() + job.limit_s + GRACE_S)

    def _ending(self, over: _Running) -> Ending:
        hangs = over.process.is_alive()
        over.process.kill()
        over.process.join()
        with over.result, contextlib.suppress(EOFError):
            return msgspec.msgpack.decode(over.result.recv_bytes(), type=Ending)
        code = over.process.exitcode or 0
        why = f"did not end within {over.job.limit_s} s and was killed" if hangs else f"was ended by signal {-code}"
        error = why if hangs or code < 0 else f"ended with exit code {code}"
        self._record(over.job, error)
        return Ending(over.job.name, f"{over.job.name}: {error}")

    def _record(self, job: Job, error: str) -> None:
        with contextlib.suppress(DBAPIError, CallmeterError):
            engine = open_ledger(self._settings.ledger_url)
            try:
                end_newest(engine, job.name, self._now(), error)
            finally:
                engine.dispose()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """A signal that came while Python forks would be told to a hook of the fork, which drops what it raises."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lane_of(job: Job) -> str:
    """Jobs of the same lane do not run side by side."""
    return job.lane or job.name


def _do(settings: Settings, now: Callable[[], int], job: Job, progress: Progress | None, result: Connection) -> None:
    """What the process of a job does. What it has inherited stays untouched: files of the ledger must not be closed."""
    gc.freeze()
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent then stops its crew
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    threading.Thread(target=_end_with_parent, daemon=True, name="parent").start()
    try:
        engine = open_ledger(settings.ledger_url)
    except (CallmeterError, DBAPIError) as problem:
        ending = Ending(job.name, f"{job.name}: {told(problem)}")
    else:
        ending = perform(Work(settings, engine, 0, progress), job, now)
        engine.dispose()
    result.send_bytes(msgspec.msgpack.encode(ending))


def _stop(*_: object) -> None:
    sys.exit(1)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_S)
        os.kill(os.getpid(), signal.SIGKILL)
