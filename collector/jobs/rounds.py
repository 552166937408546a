"""One round: every job that is due, once, side by side; or exactly the jobs that are asked for."""

from collections.abc import Callable, Sequence

from collector.core.errors import LockHeld
from collector.jobs.crew import Crew
from collector.jobs.doing import Ending, make_ready, perform
from collector.jobs.table import JOBS
from collector.jobs.work import Job, Work
from collector.ledger.cells import Progress
from collector.ledger.engines import open_ledger
from collector.settings import Settings

LOOK_EVERY_S = 60.0


def collect(
    settings: Settings, now: Callable[[], int], jobs: Sequence[Job] | None = None, progress: Progress | None = None
) -> list[str]:
    """Does what is due, or exactly `jobs`; returns one line for each that failed.

    `now` gives microseconds UTC; `progress` is told how far long work is. Raises LockHeld when others do all of it.
    """
    endings = _due_ones(settings, now, progress) if jobs is None else _asked_ones(settings, now, jobs, progress)
    held = [each for each in endings if each.is_held]
    if held and len(held) == len(endings):
        raise LockHeld(str(held[0].error))
    return [each.error for each in endings if each.error and not each.is_held]


def _due_ones(settings: Settings, now: Callable[[], int], progress: Progress | None) -> list[Ending]:
    crew, endings = Crew(settings, now, JOBS, progress), list[Ending]()
    try:
        crew.begin()
        while not crew.is_idle():
            endings += crew.ended(LOOK_EVERY_S)
    finally:
        crew.stop()
    return endings


def _asked_ones(
    settings: Settings, now: Callable[[], int], jobs: Sequence[Job], progress: Progress | None
) -> list[Ending]:
    """In this process, one after another, whether they are due or not."""
    make_ready(settings, jobs)
    engine = open_ledger(settings.ledger_url, create=True)
    try:
        return [perform(Work(settings, engine, 0, progress), job, now, is_asked=True) for job in jobs]
    finally:
        engine.dispose()
