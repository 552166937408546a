"""The job that delivers finance's files."""

from pathlib import Path

from collector.finance.deliver import deliver
from collector.jobs.work import Work
from collector.ledger.questions.ask import declared_zones
from collector.settings import Settings


def is_set(settings: Settings) -> bool:
    """Whether there is a folder to deliver to."""
    return settings.finance.folder is not None


def run_delivery(work: Work) -> int:
    """Writes the files of days and months that are over, where they are new or have changed."""
    settings = work.settings
    folder = settings.data_dir / Path(str(settings.finance.folder)).expanduser()
    zones = declared_zones(work.engine)
    return deliver(work.engine, zones, settings.finance, folder, settings.zone, work.now_us)
