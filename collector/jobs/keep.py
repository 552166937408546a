"""Job of keeping: what is old is pruned, as the settings say."""

from collector.jobs.work import Work
from collector.ledger.retention import Rules, prune, would_prune
from collector.settings import Settings


def rules_of(settings: Settings) -> Rules:
    """What the settings keep."""
    most_bytes = None if settings.retention_mb is None else settings.retention_mb * 1024 * 1024
    return Rules(settings.retention_days, most_bytes, settings.limits.probe_days, settings.zone)


def run_retention(work: Work) -> int:
    """Prunes; how many rows went."""
    done = prune(work.engine, work.settings.journal_dir, rules_of(work.settings), work.now_us, work.progress)
    return done.calls + done.probes + done.rejects


def plan_retention(work: Work) -> str:
    """What it would prune."""
    return would_prune(work.engine, rules_of(work.settings), work.now_us).sentence("would prune")
