"""Alerts from calls to channels: once, again after a recovery, silenced, retried, and what each rule finds."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from collector.alerts import ALERTS, deliver, look, silence
from collector.alerts.rules import Look, Rule
from collector.core.alerts import Finding, Found, Level
from collector.core.errors import SourceError
from collector.core.told import WAITING, PulledPrice
from collector.ledger.questions.alerts import lasting, undelivered
from collector.ledger.questions.ask import rows
from collector.settings import Settings, load_settings
from tests.answering import Asked, Reply, Server, answering, in_turn
from tests.cron.test_collect import run as command
from tests.ledger.test_told import probe, tell
from tests.stored import store
from tests.tables import calls, instant

NOW = instant("2026-10-16T12:00")
MINUTE = 60_000_000


def settings_of(folder: Path, text: str = "") -> Settings:
    folder.mkdir(exist_ok=True)
    (folder / "c.toml").write_text(text)
    return load_settings(folder, config=folder / "c.toml", environ={})


def found_by(rule: str, settings: Settings, engine: Engine, now_us: int = NOW, jobs: Any = ()) -> list[Finding]:
    find = next(each.find for each in ALERTS if each.name == rule)
    return list(find(Look(settings, engine, now_us, jobs)).findings)


class Stage:
    """One rule that finds what it is told to, and a webhook that is told."""

    def __init__(self, folder: Path, server: Server, channels: int = 1) -> None:
        hooks = f'[[channels]]\nkind = "webhook"\nurl = "{server.url}"\n' * channels
        self.settings, self.server = settings_of(folder, hooks), server
        self.engine = store(folder, [])
        self.found = Found()
        self.failed: list[str] = []

    def at(self, now_us: int, *findings: Finding, unknown: set[str] | None = None) -> list[str]:
        """What was told, as "fired a" or "recovered a"."""
        self.found = Found(findings, unknown or ())
        before = len(self.server.asked)
        look(Look(self.settings, self.engine, now_us), [Rule("budget", "", lambda look: self.found)])
        _, self.failed = deliver(self.engine, self.settings.channels, lambda: now_us, {})
        told = (json.loads(asked.body) for asked in self.server.asked[before:])
        return [f"{each['event']} {each['subject']}" for each in told]


@pytest.fixture
def stage(tmp_path: Path) -> Any:
    with answering(lambda _: Reply({})) as server:
        yield Stage(tmp_path, server)


def a(subject: str = "a", window: str = "") -> Finding:
    return Finding("budget", subject, f"{subject} is so", window=window)


def test_it_is_told_once_while_it_lasts_and_once_more_when_it_is_over(stage: Stage) -> None:
    assert [stage.at(NOW + n * MINUTE, *found) for n, found in enumerate(([a()], [a()], [], [], [a()]))] == [
        ["fired a"], [], ["recovered a"], [], ["fired a"],
    ]  # fmt: skip


def test_of_a_window_it_is_told_once_however_it_comes_and_goes(stage: Stage) -> None:
    month = a(window="month 2026-10-01")
    told = [stage.at(NOW + n * MINUTE, *found) for n, found in enumerate(([month], [], [month], [a(window="next")]))]
    assert told == [["fired a"], ["recovered a"], [], ["fired a"]]


def test_what_is_silenced_is_told_when_the_silence_ends_if_it_still_lasts(stage: Stage) -> None:
    silence(stage.engine, "budget", "a", NOW, NOW + 5 * MINUTE, "we know")
    assert stage.at(NOW, a(), a("b")) == ["fired b"]
    assert stage.at(NOW + 4 * MINUTE, a(), a("b")) == []
    assert stage.at(NOW + 5 * MINUTE, a(), a("b")) == ["fired a"]


def test_what_began_and_ended_in_silence_is_never_told(stage: Stage) -> None:
    silence(stage.engine, "budget", "", NOW, NOW + 5 * MINUTE, "")
    assert [stage.at(NOW, a()), stage.at(NOW + MINUTE), stage.at(NOW + 9 * MINUTE)] == [[], [], []]


def test_a_channel_that_fails_is_retried_later_and_shown(tmp_path: Path) -> None:
    with answering(in_turn(Reply(status=500), Reply(status=500), Reply({}))) as server:
        stage = Stage(tmp_path, server)
        stage.at(NOW, a(), a("b"))
        assert stage.failed == ["webhook 1: it answered 500"]
        assert len(server.asked) == 1  # the other message is not tried in the same run
        (shown, _) = rows(stage.engine, undelivered())
        assert (shown.channel, shown.error) == ("webhook 1", None)
        stage.at(NOW + MINUTE // 2, a(), a("b"))
        stage.at(NOW + 10 * MINUTE, a(), a("b"))
        stage.at(NOW + 20 * MINUTE, a(), a("b"))
        assert rows(stage.engine, undelivered()) == []
    told = [json.loads(each.body)["id"] for each in server.asked]
    assert sorted(set(told)) == ["1-fired", "2-fired"]


def test_one_channel_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    with answering(lambda asked: Reply(status=500 if asked.path == "/bad" else 200, body={})) as server:
        hooks = "".join(
            f'[[channels]]\nkind = "webhook"\nname = "{n}"\nurl = "{server.url}/{n}"\n' for n in ("bad", "good")
        )
        settings, engine = settings_of(tmp_path, hooks), store(tmp_path, [])
        look(Look(settings, engine, NOW), [Rule("budget", "", lambda look: Found([a(), a("b")]))])
        sent, failed = deliver(engine, settings.channels, lambda: NOW, {})
    assert (sent, failed) == (2, ["bad: it answered 500"])


def test_a_channel_that_hangs_or_has_much_to_be_told_holds_up_no_other(tmp_path: Path) -> None:
    """The first one answers only when the last one was told everything."""
    told: list[str] = []

    def answer(asked: Asked) -> Reply:
        until = time.monotonic() + 20
        while asked.path == "/slow" and told.count("/quick") < 30 and time.monotonic() < until:
            time.sleep(0.01)
        told.append(asked.path)
        return Reply({}, 500 if asked.path == "/slow" else 200)

    with answering(answer) as server:
        hooks = "".join(
            f'[[channels]]\nkind = "webhook"\nname = "{n}"\nurl = "{server.url}/{n}"\n' for n in ("slow", "quick")
        )
        settings, engine = settings_of(tmp_path, hooks), store(tmp_path, [])
        many = Found([a(f"subject {n}") for n in range(30)])
        look(Look(settings, engine, NOW), [Rule("budget", "", lambda look: many)])
        sent, failed = deliver(engine, settings.channels, lambda: NOW, {})
    assert (sent, failed) == (30, ["slow: it answered 500"])
    assert told == ["/quick"] * 30 + ["/slow"]


def test_what_waits_for_a_channel_that_is_gone_is_shown_and_no_failure(stage: Stage) -> None:
    look(Look(stage.settings, stage.engine, NOW), [Rule("budget", "", lambda look: Found([a()]))])
    assert deliver(stage.engine, (), lambda: NOW, {}) == (0, [])
    (row,) = rows(stage.engine, undelivered())
    assert row.error == "it is not in callmeter.toml any more"
    assert deliver(stage.engine, stage.settings.channels, lambda: NOW, {}) == (1, [])


def test_a_retry_is_not_put_off_by_a_clock_that_was_set_back(tmp_path: Path) -> None:
    year = 365 * 24 * 60 * MINUTE
    with answering(in_turn(Reply(status=500), Reply({}))) as server:
        stage = Stage(tmp_path, server)
        assert stage.at(NOW + year, a()) == ["fired a"]
        assert stage.failed == ["webhook 1: it answered 500"]
        assert (stage.at(NOW, a()), stage.failed) == (["fired a"], [])


def test_what_ended_after_a_long_time_is_still_told_over(stage: Stage) -> None:
    week = 7 * 24 * 60 * MINUTE
    assert [stage.at(NOW, a()), stage.at(NOW + week), stage.at(NOW + week + MINUTE)] == [
        ["fired a"], ["recovered a"], [],
    ]  # fmt: skip


def test_a_channel_is_given_up_after_some_days(tmp_path: Path) -> None:
    with answering(lambda _: Reply(status=500)) as server:
        stage = Stage(tmp_path, server)
        for hour in range(5 * 24):
            stage.at(NOW + hour * 60 * MINUTE, a())
        assert 70 < len(server.asked) < 80
        assert [row.tries for row in rows(stage.engine, undelivered())] == [len(server.asked)]


def restless(stage: Stage, minutes: int, *findings: Finding) -> list[str]:
    """Like `Stage.at`, for a rule whose findings come and go."""
    before = len(stage.server.asked)
    rule = Rule("budget", "", lambda look: Found(findings), calm_s=900)
    look(Look(stage.settings, stage.engine, NOW + minutes * MINUTE), [rule])
    deliver(stage.engine, stage.settings.channels, lambda: NOW + minutes * MINUTE, {})
    told = (json.loads(asked.body) for asked in stage.server.asked[before:])
    return [f"{each['event']} {each['step']}" for each in told]


BAD = Finding("budget", "p", "p is degraded", Level.WARNING, "degraded")
WORSE = Finding("budget", "p", "p is down", Level.CRITICAL, "down")


def test_what_comes_and_goes_every_minute_is_told_once_until_it_has_been_calm(stage: Stage) -> None:
    told = [restless(stage, minute, *([BAD] if minute % 2 == 0 else [])) for minute in range(40)]
    assert [each for each in told if each] == [["fired degraded"]]
    assert [restless(stage, minute) for minute in (52, 53, 54)] == [[], ["recovered degraded"], []]


def test_what_gets_worse_is_told_at_once_and_the_lesser_state_is_no_recovery(stage: Stage) -> None:
    told = [restless(stage, minute, each) for minute, each in enumerate((BAD, WORSE, BAD, WORSE, BAD))]
    assert told == [["fired degraded"], ["fired down"], [], [], []]
    assert [row.step for row in rows(stage.engine, lasting())] == ["down"]
    assert restless(stage, 18, BAD) == ["fired degraded"]
    assert [row.step for row in rows(stage.engine, lasting())] == ["degraded"]
    assert restless(stage, 33) == ["recovered degraded"]


def test_a_rule_that_cannot_be_looked_at_stops_no_other(tmp_path: Path) -> None:
    def broken(at: Look) -> Found:
        raise KeyError("no answer")

    engine = store(tmp_path, [])
    rules = [Rule("x", "", broken), Rule("budget", "", lambda at: Found([a()]))]
    assert look(Look(settings_of(tmp_path), engine, NOW), rules) == ["x: 'no answer'"]
    assert [row.subject for row in rows(engine, lasting())] == ["a"]


def test_budgets_of_every_scope_read_the_same_ledger_as_the_report(tmp_path: Path) -> None:
    scopes = ("all", "app:shop", "key:k1", "user:ann", "model:m", "provider:openai", "app:other")
    text = '[settings]\nzone = "Europe/Berlin"\n' + "".join(
        f'[[budgets]]\nscope = "{scope}"\nperiod = "day"\nlimit_usd = 0.01\n' for scope in scopes
    )
    table = "2026-10-16T10:00 openai m 500/200 ok app=shop key=k1 user=ann"  # 0.011 USD
    engine = store(tmp_path, calls(table + "\n2026-10-15T21:59 openai m 9000/9000 ok app=shop"))
    found = found_by("budget", settings_of(tmp_path, text), engine)
    assert [(each.subject, each.step, each.window) for each in found] == [
        (f"{scope} a day", "100", "day 2026-10-16") for scope in scopes[:-1]
    ]
    assert found[0].text == "all: 0.01 USD a day: 110% is spent, 0.01 USD"


def test_a_spike_a_silence_and_an_unpriced_model_are_found(tmp_path: Path) -> None:
    table = (
        "2026-10-10T12:00 openai m 100/0 ok\n2026-10-16T08:00 openai m 1000000/0 ok\n2026-10-16T08:01 openai x 1/1 ok"
    )
    engine = store(tmp_path, calls(table))
    settings = settings_of(tmp_path, "[alerts]\nsilent_hours = 3\nspike_least_usd = 1\n")
    (spike,) = found_by("spend spike", settings, engine)
    assert spike.text == "10.00 USD were spent on 2026-10-16, the dearest of the 1 days before cost 0.001 USD"
    (quiet,) = found_by("silence", settings, engine)
    assert "nothing was recorded for 3 hours" in quiet.text
    assert found_by("silence", settings, engine, instant("2026-10-16T11:00")) == []
    (unpriced,) = found_by("unpriced", settings, engine)
    assert unpriced.subject == "x at openai"
    assert unpriced.text.endswith("add it to prices.toml, then `callmeter reprice`")


def test_calls_that_report_no_usage_are_not_said_to_lack_a_price(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("2026-10-16T08:00 openai m - ok"))
    (found,) = found_by("unpriced", settings_of(tmp_path), engine)
    assert found.text == (
        "1 calls of m at openai have no price: no usage was reported;"
        " no price is missing, see why their answers end before their tokens are stated"
    )


def test_a_provider_that_goes_down_and_comes_back_is_told_twice(tmp_path: Path) -> None:
    def day(minute: int, outcome: str) -> str:
        return "\n".join(f"2026-10-16T11:{minute:02d}:{n:02d} openai m 1/1 {outcome}" for n in range(20))

    engine = store(tmp_path, calls(day(50, "provider_fault")), now_us=NOW)
    settings = settings_of(tmp_path)
    rule = [each for each in ALERTS if each.name == "provider"]

    def states(now_us: int) -> list[tuple[str, bool]]:
        look(Look(settings, engine, now_us), rule)
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT step, ended_at IS NULL FROM alerts ORDER BY id").all()
        return [(step, bool(lasts)) for step, lasts in found]

    assert states(NOW) == [("down", True)]
    assert states(NOW + 120 * MINUTE) == [("down", True)]  # no calls, no probes: nothing is known
    healthy = [probe(n, at=f"2026-10-16T14:{n:02d}") for n in range(3)]
    engine = tell(tmp_path, *healthy, now_us=NOW)
    assert states(NOW + 123 * MINUTE) == [("down", False)]


def test_jobs_that_fail_prices_that_wait_and_a_journal_that_grows_are_found(tmp_path: Path) -> None:
    price = PulledPrice("p1", "openrouter", "m", NOW, state=WAITING, why="it is not listed any more")
    engine = tell(tmp_path, price)
    with engine.begin() as connection:
        for n, (name, error) in enumerate([("check", "1 difference"), ("drain", "x"), ("drain", "x"), ("probe", None)]):
            connection.exec_driver_sql("INSERT INTO job_runs VALUES (?, ?, ?, ?, 0, ?)", (n + 1, name, NOW, NOW, error))
    settings = settings_of(tmp_path, "[alerts]\njournal_mb = 1\n")
    jobs = [("check", 86_400), ("drain", 60), ("probe", 300), ("never", 60)]
    assert [(each.subject, str(each.level)) for each in found_by("job", settings, engine, jobs=jobs)] == [
        ("check", "critical")
    ]
    with engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO job_runs VALUES (9, 'drain', ?, ?, 0, 'x')", (NOW, NOW))
    assert len(found_by("job", settings, engine, jobs=jobs)) == 2
    (waits,) = found_by("waiting prices", settings, engine)
    assert "1 pulled prices wait, such as m at openrouter: it is not listed any more" in waits.text
    (tmp_path / "journal" / "x.jnl").write_bytes(b"\0" * 3 * 1024 * 1024)
    (grows,) = found_by("journal", settings, engine)
    assert "3 MB of the journal" in grows.text


def test_prices_that_were_read_long_ago_are_told_by_source(tmp_path: Path) -> None:
    from collector.ledger.book import load_book

    settings = settings_of(tmp_path, "[alerts]\nprice_list_days = 30\n")
    book = load_book(settings, pulled=())
    engine = store(tmp_path, calls("2026-12-20T12:00 openai openai/gpt-4-turbo 10/10 ok"), book=book)
    (stale,) = found_by("stale prices", settings, engine, instant("2027-01-10T12:00"))
    assert "prices in use were last read" in stale.text
    assert found_by("stale prices", settings, engine, instant("2026-12-21T12:00")) == []


def test_nothing_is_found_in_an_empty_ledger(tmp_path: Path) -> None:
    engine = store(tmp_path, [], zones=())
    settings = settings_of(
        tmp_path, '[[budgets]]\nscope = "all"\nperiod = "day"\nlimit_usd = 1\n[alerts]\nsilent_hours = 1\n'
    )
    assert look(Look(settings, engine, NOW)) == []
    assert rows(engine, lasting()) == []


def test_the_command_lists_silences_and_tries(tmp_path: Path) -> None:
    with answering(lambda _: Reply({})) as server:
        stage = Stage(tmp_path, server)
        config = ("--config", str(tmp_path / "c.toml"))
        assert command(tmp_path, *config, "alerts", "test").stdout == "webhook 1: told\n"
        assert server.asked[0].headers["x-callmeter-id"] == "test"
        stage.at(NOW, a())
        done = command(tmp_path, *config, "alerts", "silence", "budget", "a", "--for", "2h", "--why", "we know")
        assert done.stdout.startswith("budget a is silenced until 20")
        listed = command(tmp_path, *config, "alerts", "list").stdout
        assert "warning   budget: a is so (since 2026-10-16 12:00 UTC)" in listed
        assert ": we know\n" in listed
        assert command(tmp_path, *config, "alerts", "silence", "budget", "a", "--end").stdout == "1 silences ended\n"
    failed = command(tmp_path, *config, "alerts", "test")
    assert (failed.exit_code, failed.stdout) == (1, "webhook 1: it could not be told: ConnectError\n")
    for rule in ALERTS:
        assert rule.name in command(tmp_path, "alerts", "list", "--rules").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("silence", "nothing", "--for", "2h"), "there is no alert 'nothing': the alerts are budget,"),
        (("silence", "budget", "--for", "2y"), "'2y' is not how long: write 30m, 2h or 3d"),
        (("silence", "budget"), "say how long with --for 2h"),
        (("silence", "budget", "--for", "1h", "--end"), "say how long with --for 2h"),
        (("test",), "there is no channel: add [[channels]]"),
    ],
)
def test_wrong_use_is_2_with_one_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    store(tmp_path, [])
    done = command(tmp_path, "alerts", *arguments)
    assert (done.exit_code, told in done.stderr) == (2, True), done.stderr


def test_the_job_fails_when_a_channel_does_and_says_so_without_its_address(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, '[[channels]]\nkind = "slack"\nurl = "http://127.0.0.1:9/hidden"\n')
    engine = store(tmp_path, [])
    look(Look(settings, engine, NOW), [Rule("budget", "", lambda at: Found([a()]))])
    sent: Callable[[], int] = lambda: NOW  # noqa: E731
    assert deliver(engine, settings.channels, sent, {}) == (0, ["slack 1: it could not be told: ConnectError"])
    assert SourceError.exit_code == 1
