"""Jobs that probe the configured endpoints. A probe that fails is a result, not a failed job."""

from collector.clock import now_us
from collector.core.periods import DAY_S, SECOND_US
from collector.intake.probes import Target, probe, targets, token_targets
from collector.jobs.pulls import SOURCE
from collector.jobs.runs import runs_since
from collector.jobs.work import Work
from collector.ledger.journal import Writer
from collector.settings import Settings

TOKENS = "probe_tokens"
_DAY_US = DAY_S * SECOND_US


def is_set(settings: Settings) -> bool:
    """Whether there is a provider that can be probed."""
    return settings.probes.enabled and bool(targets(settings))


def spends_tokens(settings: Settings) -> bool:
    """Whether the settings allow to spend tokens on probes."""
    return settings.probes.token_calls_per_day > 0 and bool(token_targets(settings))


def may_spend(work: Work) -> bool:
    """Whether the day's cap leaves room for one more round, and its share of the day has gone by."""
    most = work.settings.probes.token_calls_per_day
    today = runs_since(work.engine, TOKENS, work.now_us // _DAY_US * _DAY_US)
    recent = runs_since(work.engine, TOKENS, work.now_us - _DAY_US // max(1, most))
    return today < most and recent == 0


def run_probes(work: Work) -> int:
    """Asks every provider for its list of models, which is free."""
    return _run(work, targets(work.settings))


def run_token_probes(work: Work) -> int:
    """Asks every endpoint for one token."""
    return _run(work, token_targets(work.settings))


def _run(work: Work, some: list[Target]) -> int:
    found = probe(some, work.settings.probes.timeout_s, now_us)
    writer = Writer(work.settings.journal_dir, SOURCE, work.settings.limits, work.settings.fsync)
    try:
        for each in found:
            writer.tell(each)
    finally:
        writer.stop()
    return len(found)
