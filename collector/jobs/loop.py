"""The loop that does each job when it is due."""

import time

from collector.clock import now_us
from collector.ingest_loop import Say, say_once
from collector.jobs.crew import Crew
from collector.jobs.table import JOBS
from collector.settings import Settings
from collector.signals import Stop

JOBS_EVERY_S = 15.0
LOOK_EVERY_S = 1.0  # for jobs that have ended, whose lane is free then


def jobs_forever(settings: Settings, stop: Stop, say: Say) -> None:
    """Begins what is due, looks again every quarter of a minute, until `stop`; a job that lasts is not waited for."""
    crew, begin_at = Crew(settings, now_us, JOBS), 0.0
    said: dict[str, str] = {}
    while not stop():
        try:
            if time.monotonic() >= begin_at:
                begin_at = time.monotonic() + JOBS_EVERY_S
                crew.begin()
                said[""] = ""
        except Exception as problem:
            said[""] = say_once(say, said.get("", ""), problem)
        for each in crew.ended(0.0):
            if not each.is_held:  # cron is at it
                said[each.name] = say_once(say, said.get(each.name, ""), each.error) if each.error else ""
        stop.wait(LOOK_EVERY_S)
    crew.stop()
