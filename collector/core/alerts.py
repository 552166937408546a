"""When something is worth telling, and when it has been told: values and rules without a clock or a ledger.

A finding is what is so now. An alert is a finding that is remembered: it fires when it is new, recovers when it is not
found any more, and of a window (a budget's month, a day) it fires once.
"""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from collector.core.budgets import Budget
from collector.core.money import format_usd
from collector.core.periods import Period
from collector.core.uptime import Status, Uptime

THRESHOLDS = (100, 80, 50)  # percent of a budget
FORECAST_FROM = 0.1  # of a window: before that a forecast says nothing
PROBES_IN_BUCKET = 3  # probes that say how a provider is, where there are too few calls


class Level(StrEnum):
    """How much it matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Finding(msgspec.Struct, frozen=True):
    """What is so now: `rule` of ALERTS, of what, how far, in which window ("" for none), in one sentence."""

    rule: str
    subject: str
    text: str
    level: Level = Level.WARNING
    step: str = ""
    window: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two findings the same alert."""
        return self.rule, self.subject, self.step, self.window


class Found(NamedTuple):
    """The findings of one rule, and the subjects of which nothing can be told now: their alerts stay as they are."""

    findings: Sequence[Finding] = ()
    unknown: Collection[str] = ()


class Alert(msgspec.Struct, frozen=True):
    """A finding that was told. `ended_at` is None while it lasts; `seen_at` is when it was last found."""

    id: int
    finding: Finding
    began_at: int
    ended_at: int | None = None
    seen_at: int = 0


class Change(NamedTuple):
    """What a look at the findings makes of the alerts."""

    fired: list[Finding]
    recovered: list[Alert]
    lasting: list[tuple[Alert, Finding]]


def compare(known: Iterable[Alert], found: Found, calm_since: int | None = None) -> Change:
    """What is new, what is over and what lasts, for the alerts of one rule.

    `known` are its alerts that last, and those of a window that are over: they do not fire again in it. An alert that
    was seen after `calm_since` is not over yet, and nothing lesser of its subject fires, so that what comes and goes is
    told once; something worse does fire, and takes its place.
    """
    now = {finding.key: finding for finding in found.findings}
    worst = {finding.subject: rank(finding) for finding in sorted(found.findings, key=rank)}
    before = {alert.finding.key: alert for alert in known}
    gone = [alert for key, alert in before.items() if key not in now and alert.ended_at is None]
    held = [
        alert
        for alert in gone
        if calm_since is not None
        and alert.seen_at > calm_since
        and worst.get(alert.finding.subject, -1) <= rank(alert.finding)
    ]
    restless = {alert.finding.subject for alert in held}
    fired = [finding for key, finding in now.items() if key not in before and finding.subject not in restless]
    lasting = [(alert, now[key]) for key, alert in before.items() if key in now and alert.ended_at is None]
    over = [alert for alert in gone if alert not in held and alert.finding.subject not in found.unknown]
    return Change(fired, over, lasting)


def rank(finding: Finding) -> int:
    """How bad it is, to compare."""
    return list(Level).index(finding.level)


class Spent(NamedTuple):
    """What a budget's scope has spent in its window, in picodollars, and how many of its calls have no price."""

    cost: int
    unpriced_calls: int = 0


def of_budget(budget: Budget, window: Period, spent: Spent, now_us: int, starts: str) -> Finding | None:
    """The highest threshold that a budget has reached, or that it will be overspent; `starts` names its window."""
    percent = spent.cost * 100 // budget.limit
    reached = next((each for each in THRESHOLDS if percent >= each), None)
    elapsed = (now_us - window.start_us) / (window.end_us - window.start_us)
    expected = round(spent.cost / elapsed) if elapsed >= FORECAST_FROM else 0
    subject, window_name = f"{budget.scope} a {budget.period}", f"{budget.period} {starts}"
    if expected > budget.limit and (reached or 0) < 100:
        text = (
            f"{budget}: {_usd(spent.cost)} USD spent, about {_usd(expected)} USD expected by its end{_unpriced(spent)}"
        )
        if reached is None or reached < 80:
            return Finding("budget", subject, text, Level.WARNING, "forecast", window_name)
    if reached is None:
        return None
    level = Level.CRITICAL if reached >= 100 else Level.WARNING if reached >= 80 else Level.INFO
    text = f"{budget}: {percent}% is spent, {_usd(spent.cost)} USD{_unpriced(spent)}"
    return Finding("budget", subject, text, level, str(reached), window_name)


def of_spend(today: int, before: Sequence[int], factor: float, least: int, day: str) -> Finding | None:
    """A day that costs `factor` times the dearest of the days before, and `least` picodollars."""
    dearest = max(before, default=0)
    if not before or today < least or today <= dearest * factor:
        return None
    text = (
        f"{_usd(today)} USD were spent on {day}, the dearest of the {len(before)} days before cost {_usd(dearest)} USD"
    )
    return Finding("spend spike", "all", text, window=day)


_STEPS = {Status.DOWN: Level.CRITICAL, Status.DEGRADED: Level.WARNING}


def of_provider(provider: str, calls: Uptime, probes: Uptime, minutes: int) -> Finding | Status | None:
    """That a provider is down or degraded; NO_DATA when neither its calls nor its probes say how it is."""
    uptime, at_least, what = calls, 10, "attempts"
    if calls.status() in (Status.FEW, Status.NO_DATA):
        uptime, at_least, what = probes, PROBES_IN_BUCKET, "probes"
    status = uptime.status(at_least)
    if status in (Status.FEW, Status.NO_DATA):
        return Status.NO_DATA
    if status not in _STEPS:
        return None
    text = f"{provider} is {status}: {uptime.ok} of {uptime.attempts} {what} in the last {minutes} minutes worked"
    return Finding("provider", provider, text, _STEPS[status], str(status))


def _unpriced(spent: Spent) -> str:
    return f"; {spent.unpriced_calls} calls without a price are not in it" if spent.unpriced_calls else ""


def _usd(picousd: int) -> str:
    """Rounded to cents: an alert is read by people."""
    cents = (abs(picousd) + 5 * 10**9) // 10**10
    return f"{'-' if picousd < 0 else ''}{cents // 100}.{cents % 100:02d}" if cents else format_usd(picousd)
