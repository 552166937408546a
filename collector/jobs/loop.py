"""The loop that does each job when it is due."""

from collector.clock import now_us
from collector.core.errors import LockHeld
from collector.ingest_loop import Say, say_once
from collector.jobs.rounds import collect
from collector.settings import Settings
from collector.signals import Stop

JOBS_EVERY_S = 15.0


def jobs_forever(settings: Settings, stop: Stop, say: Say) -> None:
    """Does what is due, looks again every quarter of a minute, until `stop`."""
    said = ""
    while not stop():
        try:
            failed = "; ".join(collect(settings, now_us))
            said = say_once(say, said, failed) if failed else ""
        except LockHeld:
            pass  # cron is at it
        except Exception as problem:
            said = say_once(say, said, problem)
        stop.wait(JOBS_EVERY_S)
