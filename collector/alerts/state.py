"""Alerts in the ledger: what fired, what lasts, what recovered, and who has still to be told.

A delivery is written down with its alert, sent, and then marked: one that was killed in between is sent once more,
under the same id.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from collector.alerts.channels import Message, channel_names, send
from collector.alerts.rules import ALERTS, Look, Rule
from collector.core.alerts import Alert, Finding, Found, Level, compare
from collector.core.errors import CallmeterError, UsageError
from collector.ledger.engines import writing
from collector.ledger.schema import alerts, deliveries, silences
from collector.outside import Channel
from collector.side_by_side import side_by_side

FIRED, RECOVERED = "fired", "recovered"
WAITS_S = (60, 120, 300, 900, 1_800, 3_600)  # after a failed try; the last one from then on
TRIES = 76  # about three days of them
KEPT_DAYS = 400
MAX_SENT = 200  # to one channel in one run
AT_ONCE = 20  # channels
CHANNEL_S = 60.0  # in which a channel takes what it can of them
GONE = "it is not in callmeter.toml any more"
_DAY_US = 86_400_000_000


def look(at: Look, rules: Sequence[Rule] = ALERTS) -> list[str]:
    """Looks at every rule and remembers what it found; one line for each rule that could not be looked at."""
    failed, found = [], []
    for rule in rules:
        try:
            found.append((rule, rule.find(at)))
        except Exception as error:
            failed.append(f"{rule.name}: {error}")
    channels = channel_names(at.settings.channels)
    with writing(at.engine).begin() as connection:
        for rule, each in found:
            _remember(connection, rule, each, at.now_us, channels)
        _forget(connection, at.now_us - KEPT_DAYS * _DAY_US)
    return failed


def _remember(connection: Connection, rule: Rule, found: Found, now_us: int, channels: Sequence[str]) -> None:
    calm_since = now_us - rule.calm_s * 1_000_000 if rule.calm_s else None
    change = compare(_known(connection, rule.name, found, now_us), found, calm_since)
    subjects = {finding.subject for finding in found.findings}  # of which another state is news, and no recovery
    for alert, finding in change.lasting:
        row = {"text": finding.text, "level": str(finding.level), "seen_at": now_us}
        connection.execute(sa.update(alerts).where(alerts.c.id == alert.id).values(**row))
    for alert in change.recovered:
        connection.execute(sa.update(alerts).where(alerts.c.id == alert.id).values(ended_at=now_us))
        if rule.is_told_over and alert.finding.subject not in subjects:
            _queue_recovery(connection, alert.id, now_us)
    for finding in change.fired:
        row = {**msgspec.structs.asdict(finding), "level": str(finding.level)}
        connection.execute(sa.insert(alerts).values(**row, began_at=now_us, seen_at=now_us))
    _queue_fired(connection, rule.name, now_us, channels)


def _known(connection: Connection, rule: str, found: Found, now_us: int) -> list[Alert]:
    """The alerts of a rule that last, and those that are over of the windows that were found."""
    a = alerts.c
    windows = {finding.window for finding in found.findings} - {""}
    query = sa.select(alerts).where(a.rule == rule, sa.or_(a.ended_at.is_(None), a.window.in_(windows))).order_by(a.id)
    return [_alert_of(row, now_us) for row in connection.execute(query)]


def _alert_of(row: Any, now_us: int) -> Alert:
    """What was seen before the clock was set back was seen long ago."""
    finding = Finding(row.rule, row.subject, row.text, Level(row.level), row.step, row.window)
    return Alert(row.id, finding, row.began_at, row.ended_at, row.seen_at if row.seen_at <= now_us else 0)


def _queue_fired(connection: Connection, rule: str, now_us: int, channels: Sequence[str]) -> None:
    """Every lasting alert that is not silenced is to be told once, to each channel."""
    told = sa.select(deliveries.c.alert).where(deliveries.c.event == FIRED)
    query = sa.select(alerts.c.id, alerts.c.subject).where(
        alerts.c.rule == rule, alerts.c.ended_at.is_(None), alerts.c.id.not_in(told)
    )
    for row in connection.execute(query).all():
        if not _is_silenced(connection, rule, row.subject, now_us):
            _queue(connection, row.id, FIRED, channels, now_us)


def _queue_recovery(connection: Connection, alert_id: int, now_us: int) -> None:
    """Who was told, or has still to be told, that it fired is told that it is over."""
    d = deliveries.c
    channels = connection.execute(sa.select(d.channel).where(d.alert == alert_id, d.event == FIRED)).scalars().all()
    _queue(connection, alert_id, RECOVERED, channels, now_us)


def _queue(connection: Connection, alert_id: int, event: str, channels: Sequence[str], now_us: int) -> None:
    rows = [(alert_id, event, channel, 0, now_us, None, None) for channel in channels]
    if rows:
        connection.exec_driver_sql("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _is_silenced(connection: Connection, rule: str, subject: str, now_us: int) -> bool:
    s = silences.c
    fits = sa.and_(s.rule == rule, s.subject.in_(("", subject)), s.since <= now_us, s.until > now_us)
    return connection.execute(sa.select(s.id).where(fits).limit(1)).first() is not None


def _forget(connection: Connection, before_us: int) -> None:
    old = sa.select(alerts.c.id).where(alerts.c.ended_at < before_us)
    connection.execute(sa.delete(deliveries).where(deliveries.c.alert.in_(old)))
    connection.execute(sa.delete(alerts).where(alerts.c.ended_at < before_us))
    connection.execute(sa.delete(silences).where(silences.c.until < before_us))


def deliver(
    engine: Engine,
    channels: Sequence[Channel],
    now: Callable[[], int],
    environ: Mapping[str, str] = os.environ,
) -> tuple[int, list[str]]:
    """Sends what is due, to all channels side by side; how many were sent, and a line for each channel that failed.

    A channel that fails is not asked again in this run; what it missed is tried again later, for some days.
    """
    by_name = dict(zip(channel_names(channels), channels, strict=True))
    _give_up_gone(engine, by_name)

    def tell(name: str) -> tuple[int, str]:
        until, sent = time.monotonic() + CHANNEL_S, 0
        for row in _due(engine, now(), name):
            if time.monotonic() >= until:
                break
            try:
                send(by_name[name], _message(row), now(), environ)
            except Exception as error:
                why = str(error) if isinstance(error, CallmeterError) else type(error).__name__
                _failed(engine, row, why, now())
                return sent, f"{name}: {why}"
            _done(engine, row, now())
            sent += 1
        return sent, ""

    told = side_by_side(list(by_name), tell, AT_ONCE)
    return sum(sent for sent, _ in told), [problem for _, problem in told if problem]


def _give_up_gone(engine: Engine, channels: Collection[str]) -> None:
    """What waits for a channel that was taken out of the settings is shown as such, and goes out if that comes back."""
    d = deliveries.c
    gone = sa.and_(d.done_at.is_(None), d.channel.not_in(channels), sa.func.coalesce(d.error, "") != GONE)
    with writing(engine).begin() as connection:
        connection.execute(sa.update(deliveries).where(gone).values(error=GONE))


def _due(engine: Engine, now_us: int, channel: str) -> Sequence[Any]:
    """What a channel is to be told now; what waits for longer than it ever would does so since a clock was set back."""
    d, a = deliveries.c, alerts.c
    is_time = sa.or_(d.next_at <= now_us, d.next_at > now_us + WAITS_S[-1] * 1_000_000)
    query = (
        sa.select(deliveries, a.rule, a.subject, a.step, a.window, a.level, a.text, a.began_at, a.ended_at)
        .join(alerts, a.id == d.alert)
        .where(d.done_at.is_(None), is_time, d.tries < TRIES, d.channel == channel)
        .order_by(d.next_at, d.alert, d.event)
        .limit(MAX_SENT)
    )
    with engine.connect() as connection:
        return connection.execute(query).all()


def _message(row: Any) -> Message:
    return Message(
        id=f"{row.alert}-{row.event}",
        event=row.event,
        rule=row.rule,
        subject=row.subject,
        step=row.step,
        window=row.window,
        level=row.level,
        text=row.text,
        began_at=row.began_at,
        ended_at=row.ended_at,
    )


def _failed(engine: Engine, row: Any, error: str, now_us: int) -> None:
    wait_s = WAITS_S[min(row.tries, len(WAITS_S) - 1)]
    _update(engine, row, tries=row.tries + 1, next_at=now_us + wait_s * 1_000_000, error=error[:500])


def _done(engine: Engine, row: Any, now_us: int) -> None:
    _update(engine, row, tries=row.tries + 1, done_at=now_us, error=None)


def _update(engine: Engine, row: Any, **values: Any) -> None:
    d = deliveries.c
    own = sa.and_(d.alert == row.alert, d.event == row.event, d.channel == row.channel)
    with writing(engine).begin() as connection:
        connection.execute(sa.update(deliveries).where(own).values(**values))


def silence(engine: Engine, rule: str, subject: str, since_us: int, until_us: int, why: str) -> None:
    """Nothing of a rule (and a subject, unless "") is told until an instant. Raises UsageError for no such rule."""
    if rule not in {each.name for each in ALERTS}:
        raise UsageError(f"there is no alert {rule[:40]!r}: the alerts are {', '.join(each.name for each in ALERTS)}")
    with writing(engine).begin() as connection:
        row = {"rule": rule, "subject": subject, "since": since_us, "until": until_us, "why": why}
        connection.execute(sa.insert(silences).values(**row))


def end_silence(engine: Engine, rule: str, subject: str, now_us: int) -> int:
    """Ends the silences of a rule and a subject; how many there were."""
    s = silences.c
    with writing(engine).begin() as connection:
        own = sa.and_(s.rule == rule, s.subject == subject, s.until > now_us)
        return connection.execute(sa.update(silences).where(own).values(until=now_us)).rowcount
