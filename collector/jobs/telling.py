"""Jobs that tell: alerts to their channels, and a ping that says that the collector is alive."""

from collector.alerts import deliver, look
from collector.alerts.rules import Look
from collector.core.errors import SourceError
from collector.intake.pulls.asking import Asker, Bounds
from collector.jobs.work import Job, Work


def run_alerts(work: Work, jobs: tuple[Job, ...]) -> int:
    """Looks at every rule of ALERTS, and tells what is new; how many messages were sent."""
    named = [(job.name, job.period_s) for job in jobs if job.is_set(work.settings)]
    failed = look(Look(work.settings, work.engine, work.now_us, named))
    sent, missed = deliver(work.engine, work.settings.channels, lambda: work.now_us)
    if failed or missed:
        raise SourceError("; ".join([*failed, *missed]))
    return sent


def run_heartbeat(work: Work) -> int:
    """Asks for the address that misses the collector when it is not asked for. The address is a secret."""
    url = work.settings.heartbeat_url or ""
    with Asker(url, {}, Bounds(20.0, work.settings.limits.max_page_bytes, 1)) as asker:
        try:
            asker.body("")
        except SourceError as error:
            raise SourceError(str(error).replace(asker.host, "heartbeat_url", 1)) from None
    return 1
