"""`callmeter demo`, really run: two providers, traffic by the openai SDK, a past, the dashboard, and a clean end."""

import signal
import sqlite3
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner

import collector.cli.demo as demo_command
from collector.cli import main
from collector.demo.cast import APPS
from collector.demo.past import DAY_US, past_calls, renew_past
from collector.demo.settings import demo_settings
from tests.processes import running, until

DEMO = ("demo", "--port", "0", "--dashboard-port", "0")
NOW = 1_790_856_000_000_000  # 2026-10-01T12:00Z
LIVE = "SELECT {} FROM v_calls WHERE started_at > (SELECT strftime('%Y-%m-%dT%H:%M:%S', value / 1e6, 'unixepoch')"
LIVE += " FROM meta WHERE key = 'demo')"


def ask(folder: Path, query: str) -> list[tuple[int, ...]]:
    with sqlite3.connect(f"file:{folder}/data/demo/callmeter.db?mode=ro", uri=True) as connection:
        return connection.execute(query).fetchall()


def test_the_demo_shows_a_past_and_real_traffic_and_ends_cleanly(tmp_path: Path) -> None:
    with running(tmp_path, *DEMO) as demo:
        addresses = demo.addresses("gateway", "dashboard")
        assert urlopen(addresses["dashboard"], timeout=30).status == 200
        ((past, days),) = ask(tmp_path, "SELECT count(*), count(DISTINCT substr(started_at, 1, 10)) FROM v_calls")
        assert past > 20_000
        assert days == 90
        query = LIVE.format("count(*), sum(outcome = 'ok'), sum(streamed), sum(images_in > 0), sum(attempts > 1)")
        until(lambda: min(value or 0 for value in ask(tmp_path, query)[0]) > 0)
        assert demo.end(signal.SIGINT) == 0
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["demo"]


def test_the_demo_twice_keeps_the_past_and_a_real_ledger_is_not_taken_for_one(tmp_path: Path) -> None:
    made = "SELECT value FROM meta WHERE key = 'demo'"
    with running(tmp_path, *DEMO) as demo:
        demo.addresses("gateway")
        assert demo.end(signal.SIGTERM) == 0
    before = ask(tmp_path, made)
    assert int(before[0][0]) > 0
    with running(tmp_path, *DEMO) as again:
        again.addresses("gateway")
        assert again.end(signal.SIGTERM) == 0
    assert ask(tmp_path, made) == before

    with sqlite3.connect(tmp_path / "data" / "demo" / "callmeter.db") as connection:
        connection.execute("DELETE FROM meta WHERE key = 'demo'")
    with running(tmp_path, *DEMO) as refused:
        assert refused.process.wait(60) == 1
    assert "holds a ledger that is no demo: name another --data-dir" in refused.err.read_text()


def test_a_past_whose_making_was_broken_off_is_made_anew(tmp_path: Path) -> None:
    settings = demo_settings(tmp_path, 1, 2)
    making = renew_past(settings, NOW)
    next(making)
    making.close()
    with sqlite3.connect(tmp_path / "callmeter.db") as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'demo'").fetchall() == [("0",)]
    assert sum(renew_past(settings, NOW)) > 20_000
    assert list(renew_past(settings, NOW + DAY_US)) == []
    assert sum(renew_past(settings, NOW + 3 * DAY_US)) > 20_000
    with sqlite3.connect(tmp_path / "callmeter.db") as connection:
        ((first, last),) = connection.execute("SELECT min(started_at), max(started_at) FROM v_calls").fetchall()
    assert (first[:10], last[:10]) == ("2026-07-07", "2026-10-04")


def test_no_invented_call_is_of_the_future_or_of_an_application_that_does_not_play() -> None:
    calls = list(past_calls(NOW))
    assert max(call.started_at for call in calls) < NOW
    assert {call.app for call in calls} == {app.address for app in APPS}
    assert {call.key for call in calls} == {None}


def test_without_the_openai_sdk_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_command, "find_spec", lambda name: None)
    done = CliRunner().invoke(main, ["--data-dir", str(tmp_path), "demo"])
    assert done.exit_code == 1
    assert "run `pip install openai` first" in done.stderr
    assert list(tmp_path.iterdir()) == []
