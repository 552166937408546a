"""A clock that jumps over a change to winter time and back, hours ahead, days back: nothing is lost or told twice."""

from pathlib import Path

import pytest

from collector.core.calls import Call
from collector.jobs import JOBS, collect, job_named
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.ledger.journal import Writer
from collector.settings import Settings, load_settings
from tests.answering import Asked, Reply, Server, answering
from tests.tables import calls, instant

MINUTE = 60_000_000
# Berlin goes back from 03:00 to 02:00 on 2026-10-25, at 01:00 UTC.
JUMPS = [
    "2026-10-24T21:30", "2026-10-24T22:30", "2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T00:45",
    "2026-10-25T01:45", "2026-10-25T05:00", "2026-10-25T02:00", "2026-10-26T00:00", "2026-10-24T21:45",
    "2026-10-26T01:00",
]  # fmt: skip


def settings_of(folder: Path, url: str) -> Settings:
    (folder / "c.toml").write_text(f"""
[settings]
zone = "Europe/Berlin"
[[budgets]]
scope = "all"
period = "day"
limit_usd = 0.001
[[channels]]
kind = "webhook"
url = "{url}/hook"
[pulls.openrouter]
base_url = "{url}"
what = ["activity"]
""")
    return load_settings(folder, config=folder / "c.toml", environ={})


def journal(settings: Settings, some: list[Call]) -> None:
    writer = Writer(settings.journal_dir, "gateway", fsync="interval")
    for each in some:
        writer.whole(each)
    writer.stop()


def answer(asked: Asked) -> Reply:
    return Reply({"data": []}) if asked.path == "/activity" else Reply({})


@pytest.fixture
def stage(tmp_path: Path) -> object:
    with answering(answer) as server:
        yield settings_of(tmp_path, server.url), server


def test_every_round_does_its_work_whatever_the_clock_says(stage: tuple[Settings, Server]) -> None:
    settings, server = stage
    for n, text in enumerate(JUMPS):
        at = instant(text)
        journal(settings, calls(f"{text} openai openai/gpt-4-turbo 1000/{n} ok"))
        for moment in (at, at + MINUTE):  # what the first round stores the second one looks at
            assert collect(settings, lambda at=moment: at) == []  # type: ignore[misc]
    engine = open_ledger(settings.ledger_url)
    assert check(engine, settings.journal_dir) == []
    with engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT count(*) FROM v_calls").scalar_one()
        windows = connection.exec_driver_sql(
            "SELECT window, count(*) FROM alerts WHERE rule = 'budget' GROUP BY 1"
        ).all()
    assert stored == len(JUMPS)
    assert dict(windows) == {"day 2026-10-24": 1, "day 2026-10-25": 1, "day 2026-10-26": 1}
    told = [asked.body for asked in server.asked if asked.path == "/hook" and b'"budget"' in asked.body]
    assert len(told) == len(set(told)) == 3


def test_a_daily_job_is_not_lost_when_the_clock_was_set_back(stage: tuple[Settings, Server]) -> None:
    settings, _ = stage
    runs: list[int] = []
    for text in ("2026-10-25T01:30", "2026-10-25T00:45", "2026-10-25T12:00", "2026-10-26T00:44", "2026-10-26T01:00"):
        at = instant(text)
        collect(settings, lambda at=at: at)  # type: ignore[misc]
        engine = open_ledger(settings.ledger_url)
        with engine.connect() as connection:
            runs.append(connection.exec_driver_sql("SELECT count(*) FROM job_runs WHERE name = 'check'").scalar_one())
        engine.dispose()
    assert runs == [1, 2, 2, 2, 3]


def test_no_day_is_asked_for_that_is_still_to_come_or_left_out(stage: tuple[Settings, Server]) -> None:
    settings, server = stage
    for text in ("2026-10-25T01:30", "2026-10-28T01:30", "2026-10-26T01:30", "2026-10-29T01:30"):
        at = instant(text)
        assert collect(settings, lambda at=at: at, [job_named("openrouter_activity")]) == []  # type: ignore[misc]
    days = [asked.param("date") for asked in server.asked]
    assert days[:30][-1] == "2026-10-24"
    assert {f"2026-10-{day}" for day in range(25, 29)} <= set(days)
    assert len(JOBS) > 10
