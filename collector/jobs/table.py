"""JOBS: the work that comes due by itself. Each is idempotent and bounded in time: one that was killed is redone."""

from collector.core.errors import UsageError
from collector.intake.pulls import PULLS, Api
from collector.jobs import books, finance, keep, probes, pulls, telling
from collector.jobs.work import DAY_S, HOUR_S, MINUTE_S, Job


def _sums(api: Api, period_s: int) -> Job:
    return Job(
        api.name,
        period_s,
        f"read what {api.kind} says of itself: {api.what}",
        10 * MINUTE_S,
        pulls.pull_sums(api),
        pulls.is_asked(api.kind, api.what),
        f"[pulls.{api.kind}]",
        feeds=True,
        lane=api.kind,
    )


LONG, OPENROUTER = "long", "openrouter"  # lanes

JOBS: tuple[Job, ...] = (
    Job(
        "zone",
        0,
        "make the day cells of a newly set time zone",
        HOUR_S,
        books.run_declare,
        needed=books.has_new_zone,
    ),
    Job(
        "drain",
        MINUTE_S,
        "store what gateways and others have journalled",
        10 * MINUTE_S,
        books.run_drain,
    ),
    Job(
        "probe",
        5 * MINUTE_S,
        "ask each provider for its models, which is free",
        MINUTE_S,
        probes.run_probes,
        probes.is_set,
        "[providers.NAME] with a key of your own, and not probes.enabled = false",
        feeds=True,
    ),
    Job(
        probes.TOKENS,
        5 * MINUTE_S,
        "ask each endpoint for one token",
        MINUTE_S,
        probes.run_token_probes,
        probes.spends_tokens,
        "probes.token_calls_per_day",
        probes.may_spend,
        feeds=True,
    ),
    Job(
        "status_pages",
        5 * MINUTE_S,
        "read the incidents of status pages",
        2 * MINUTE_S,
        pulls.read_status_pages,
        lambda settings: bool(settings.status_pages),
        "[[status_pages]]",
        feeds=True,
    ),
    Job(
        "alerts",
        MINUTE_S,
        "look for what is worth telling, and tell it",
        2 * MINUTE_S,
        lambda work: telling.run_alerts(work, JOBS),
    ),
    Job(
        "heartbeat",
        MINUTE_S,
        "ask for an address that misses it otherwise",
        MINUTE_S,
        telling.run_heartbeat,
        lambda settings: settings.heartbeat_url is not None,
        "settings.heartbeat_url",
    ),
    Job(
        "openrouter_generation",
        10 * MINUTE_S,
        "ask for single calls whose usage is partial",
        5 * MINUTE_S,
        pulls.look_up,
        pulls.is_asked("openrouter", "generation"),
        "[pulls.openrouter]",
        feeds=True,
        lane=OPENROUTER,
    ),
    *(_sums(api, 6 * HOUR_S if api.completed else HOUR_S) for api in PULLS),
    Job(
        "openrouter_prices",
        6 * HOUR_S,
        "read price lists; jumps wait for `prices accept`",
        10 * MINUTE_S,
        pulls.pull_prices,
        pulls.is_asked("openrouter", "prices"),
        "[pulls.openrouter]",
        feeds=True,
        lane=OPENROUTER,
    ),
    Job(
        "deliver",
        HOUR_S,
        "write the files of days and months that are over into finance's folder",
        HOUR_S,
        finance.run_delivery,
        finance.is_set,
        "finance.folder",
        lane=LONG,
    ),
    Job(
        "retention",
        DAY_S,
        "prune calls beyond retention_days or retention_mb, and old probes",
        HOUR_S,
        keep.run_retention,
        plan=keep.plan_retention,
        lane=LONG,
    ),
    Job(
        "backup",
        DAY_S,
        "write a backup and try to restore it",
        HOUR_S,
        keep.run_backup,
        lambda settings: settings.backups is not None,
        "[backups] dir",
        lane=LONG,
    ),
    Job(
        "check",
        DAY_S,
        "prove what changed since the last time: calls, sums, prices, closed months and the journal",
        HOUR_S,
        books.run_check,
        lane=LONG,
    ),
)


def job_named(name: str) -> Job:
    """The job of that name. Raises UsageError naming those there are."""
    for job in JOBS:
        if job.name == name:
            return job
    raise UsageError(f"there is no job {name!r}: the jobs are {', '.join(job.name for job in JOBS)}")
