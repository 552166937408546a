"""Pull jobs from settings to ledger: what is asked when, one bad source, late corrections, catching up after days."""

import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from collector.core.calls import Quality
from collector.core.outcomes import Outcome
from collector.core.periods import DAY_S, Period, format_day, parse_day
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.jobs import JOBS, collect, job_named, last_runs
from collector.ledger.book import load_book
from collector.ledger.book.report import check_book
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.ledger.journal import Writer
from collector.ledger.questions.ask import rows
from collector.ledger.questions.billed import billed_lines
from collector.ledger.questions.incidents import incidents_in
from collector.ledger.questions.pulled import read_through
from collector.settings import Settings, load_settings
from tests.answering import Asked, Reply, answering
from tests.pulls.test_sums import ACTIVITY, COMPLETIONS, bucket, page
from tests.tables import calls, instant

NOON = instant("2026-10-01T12:00")
DAY_US = DAY_S * 1_000_000
TODAY = parse_day("2026-10-01")


def settings_of(folder: Path, text: str) -> Settings:
    (folder / "c.toml").write_text(text)
    return load_settings(folder, config=folder / "c.toml", environ={})


def run(settings: Settings, *names: str, at: int = NOON) -> list[str]:
    return collect(settings, lambda: at, [job_named(name) for name in names])


def ledger(settings: Settings) -> sa.Engine:
    return open_ledger(settings.ledger_url)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_KEY", "sk-admin-secret")


def test_by_default_nothing_outside_is_due(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, environ={})
    assert {job.name for job in JOBS if job.is_set(settings)} == {"zone", "drain", "alerts", "retention", "check"}
    assert not settings.channels  # so that alerts, too, are told to nobody


def activity(asked: Asked) -> Reply:
    if not asked.headers.get("authorization"):
        return Reply(status=401)
    if asked.param("date") >= "2026-10-01":
        return Reply({"error": {"code": 400, "message": "Date must be a completed UTC day"}}, 400)
    return Reply({"data": [{**ACTIVITY, "date": asked.param("date")}]})


def test_activity_is_read_from_the_first_day_it_knows_and_then_only_what_may_have_changed(tmp_path: Path) -> None:
    with answering(activity) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nkey_env = "ADMIN_KEY"\nbase_url = "{server.url}"\n')
        assert run(settings, "openrouter_activity") == []
        assert len(server.asked) == 30
        assert [each.param("date") for each in server.asked][-1] == "2026-09-30"
        server.asked.clear()
        assert run(settings, "openrouter_activity", at=NOON + DAY_US // 4) == []
        assert [each.param("date") for each in server.asked] == ["2026-09-28", "2026-09-29", "2026-09-30"]
        server.asked.clear()
    engine = ledger(settings)
    assert read_through(engine, "openrouter_activity", "openrouter") == TODAY
    assert len(rows(engine, billed_lines(0, 84_000))) == 30
    assert check(engine, settings.journal_dir) == []
    assert "sk-admin-secret" not in "".join(map(str, rows(engine, billed_lines(0, 84_000))))


def test_after_days_off_it_catches_up_and_a_correction_replaces_what_was_said(tmp_path: Path) -> None:
    said = {"requests": 5}

    def answer(asked: Asked) -> Reply:
        day = asked.param("date")
        return Reply(
            {"data": [{**ACTIVITY, **said, "date": day}] if day != "2026-09-29" or said["requests"] == 5 else []}
        )

    with answering(answer) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nbase_url = "{server.url}"\nwhat = ["activity"]\n')
        run(settings, "openrouter_activity")
        said["requests"] = 6
        server.asked.clear()
        run(settings, "openrouter_activity", at=NOON + 9 * DAY_US)
    assert [each.param("date") for each in server.asked] == [format_day(TODAY + n) for n in range(-3, 9)]
    found = {row.day: row.requests for row in rows(ledger(settings), billed_lines(TODAY - 5, TODAY + 9))}
    assert found == {TODAY - 5: 5, TODAY - 4: 5, TODAY - 3: 6, TODAY - 1: 6, **{TODAY + n: 6 for n in range(9)}}


def test_what_stopped_in_the_middle_goes_on_where_it_stopped(tmp_path: Path) -> None:
    broken = {"2026-09-20"}

    def answer(asked: Asked) -> Reply:
        return Reply(status=404) if asked.param("date") in broken else activity(asked)

    with answering(answer) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nkey_env = "ADMIN_KEY"\nbase_url = "{server.url}"\n')
        (line,) = run(settings, "openrouter_activity")
        assert "/activity answered 404" in line
        assert "sk-admin" not in line
        assert run(settings, "drain") == []
        assert read_through(ledger(settings), "openrouter_activity", "openrouter") == parse_day("2026-09-20")
        broken.clear()
        server.asked.clear()
        assert run(settings, "openrouter_activity", at=NOON + 3_600_000_000) == []
    assert server.asked[0].param("date") == "2026-09-17"
    assert len(rows(ledger(settings), billed_lines(0, 84_000))) == 30


# The peak of its own memory: what the system says of a child counts the memory of the process that it was forked from.
_TELLING_ITS_PEAK = """
import re, sys
from collector.cli import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
"""


def test_a_years_catching_up_stays_in_bounded_memory(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        if not asked.path.endswith("/completions"):
            return page()
        first, end = (int(asked.param(name)) // DAY_S for name in ("start_time", "end_time"))
        keys = [{**COMPLETIONS, "api_key_id": f"key_{n}"} for n in range(100)]
        return page(*(bucket(*keys, day=day) for day in range(first, end)))

    with answering(answer) as server:
        settings_of(tmp_path, f'[pulls.openai]\nkey_env = "ADMIN_KEY"\nbase_url = "{server.url}"\n')
        files = ("--data-dir", str(tmp_path), "--config", str(tmp_path / "c.toml"))
        command = [sys.executable, "-c", _TELLING_ITS_PEAK, *files, "jobs", "run", "openai_usage"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0
    assert int(done.stdout.split()[-1]) < 200 * 1024  # KiB
    with open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}").connect() as connection:
        days, lines = connection.exec_driver_sql("SELECT count(DISTINCT day), count(*) FROM provider_sums").one()
    assert (days, lines) == (367, 36_700)


def test_one_source_that_fails_stops_no_other(tmp_path: Path) -> None:
    with answering(lambda _: Reply(status=500)) as broken, answering(activity) as fine:
        text = (
            f'[pulls.first]\nkind = "openrouter"\nbase_url = "{broken.url}"\nkey_env = "ADMIN_KEY"\n'
            f'[pulls.openrouter]\nbase_url = "{fine.url}"\nkey_env = "ADMIN_KEY"\n'
            f'[pulls.third]\nkind = "openrouter"\nbase_url = "{fine.url}"\nkey_env = "NOT_SET"\n'
            "[settings.limits]\npull_tries = 1\n"
        )
        settings = settings_of(tmp_path, text)
        (line,) = run(settings, "openrouter_activity")
    assert line.startswith("openrouter_activity: first: 127.0.0.1:")
    assert "/activity answered 500; third: the variable NOT_SET of [pulls.third] is not set" in line
    assert run(settings, "drain") == []
    assert {row.provider for row in rows(ledger(settings), billed_lines(0, 84_000))} == {"openrouter"}


def test_a_slow_source_delays_no_other_of_its_job(tmp_path: Path) -> None:
    """The first page answers only when all others were asked."""
    seen: set[str] = set()

    def answer(asked: Asked) -> Reply:
        name = asked.path.split("/")[1]
        until = time.monotonic() + 15
        while name == "p0" and len(seen) < 9 and time.monotonic() < until:
            time.sleep(0.01)
        seen.add(name)
        return Reply({"incidents": [{**INCIDENT, "id": str(len(seen))}]})

    with answering(answer) as server:
        pages = (f'[[status_pages]]\nprovider = "p{n}"\nurl = "{server.url}/p{n}"\n' for n in range(10))
        settings = settings_of(tmp_path, "".join(pages))
        assert run(settings, "status_pages") == []
    found = rows(ledger(settings), incidents_in(Period(NOON - DAY_US, NOON + DAY_US, "UTC")))
    assert {row.id: row.provider for row in found}["10"] == "p0"


def test_a_job_that_failed_does_not_stop_the_round(tmp_path: Path) -> None:
    with answering(lambda _: Reply(b"<html>moved</html>")) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nbase_url = "{server.url}"\n')
        failed = collect(settings, lambda: NOON)
    assert {line.split(":")[0] for line in failed} == {
        "openrouter_activity", "openrouter_credits", "openrouter_key", "openrouter_prices",
    }  # fmt: skip
    runs = last_runs(ledger(settings))
    assert runs["check"].error is None
    assert "in another form than documented" in str(runs["openrouter_prices"].error)


def test_a_partial_call_is_looked_up_once_and_then_exact(tmp_path: Path) -> None:
    generation = {
        "id": "gen-1", "created_at": "2026-10-01T11:30:01.5+00:00", "model": "openai/gpt-4-turbo", "streamed": True,
        "cancelled": True, "finish_reason": None, "native_tokens_prompt": 1_000, "native_tokens_completion": 500,
        "native_tokens_cached": 100, "native_tokens_reasoning": 200, "total_cost": 0.0539, "is_byok": False,
    }  # fmt: skip

    def answer(asked: Asked) -> Reply:
        return Reply({"data": generation}) if asked.param("id") == "gen-1" else Reply(status=404)

    with answering(answer) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nbase_url = "{server.url}"\n')
        writer = Writer(settings.journal_dir, "gateway", fsync="interval")
        table = "11:30 {0} openai/gpt-4-turbo 1000/3 cancelled quality=partial origin_id={1} app=shop"
        for each in calls("\n".join(table.format("openrouter", name) for name in ("gen-1", "gen-2"))):
            writer.whole(each)
        writer.whole(calls(table.format("openai", "gen-3"))[0])
        writer.stop()
        run(settings, "drain")
        assert run(settings, "openrouter_generation") == []
        assert sorted(each.param("id") for each in server.asked) == ["gen-1", "gen-2"]
        server.asked.clear()
        assert run(settings, "openrouter_generation") == []
        assert [each.param("id") for each in server.asked] == ["gen-2"]
    with ledger(settings).connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT usage_quality, input_tokens, cache_read_tokens, output_tokens, reasoning_tokens, outcome, app,"
            " reported_cost_picousd FROM v_calls WHERE origin_id = 'gen-1'"
        ).one()
    assert found == (Quality.EXACT, 900, 100, 300, 200, Outcome.CANCELLED, "shop", 53_900_000_000)
    assert check(ledger(settings), settings.journal_dir) == []


MODELS = {"m": "0.00001", "n": "0.00002", "o": "0.00003", "p": "0.00004", "q": "0.00005"}


def listing(prices: dict[str, str]) -> Any:
    return {
        "data": [{"id": name, "pricing": {"prompt": price, "completion": "0.00009"}} for name, price in prices.items()]
    }


def price_of(settings: Settings, model: str, at: int, provider: str = "openrouter") -> int | None:
    found = load_book(settings).find(model, provider, at)
    return getattr(found, "prices", {}).get("input")


def test_pulled_prices_reach_the_book_from_when_they_were_read(tmp_path: Path) -> None:
    prices = dict(MODELS)
    with answering(lambda asked: Reply(listing(prices)) if asked.path == "/models" else Reply(status=404)) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nbase_url = "{server.url}"\n')
        assert run(settings, "openrouter_prices") == []
        prices |= {"m": "0.000012", "n": "0.002"}
        assert run(settings, "openrouter_prices", at=NOON + DAY_US) == []
        assert run(settings, "openrouter_prices", at=NOON + 2 * DAY_US) == []
    later = NOON + 3 * DAY_US
    assert [price_of(settings, "m", at) for at in (NOON, later)] == [10_000_000, 12_000_000]
    assert [price_of(settings, "n", at) for at in (NOON, later)] == [20_000_000, 20_000_000]
    assert price_of(settings, "m", later, "elsewhere") is None
    verdict = check_book(settings, Files("none", (), Names()), date(2026, 11, 28))
    read = [sentence.split("read on ")[1] for sentence in verdict.sources if "read on" in sentence]
    assert {format_day(NOON // DAY_US), format_day((NOON + DAY_US) // DAY_US)} <= {each[:10] for each in read}
    assert check(ledger(settings), settings.journal_dir) == []


def test_a_jump_waits_for_accept_and_then_holds_from_when_it_was_read(tmp_path: Path) -> None:
    from tests.cron.test_collect import run as command

    prices = dict(MODELS)
    with answering(lambda asked: Reply(listing(prices)) if asked.path == "/models" else Reply(status=404)) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nbase_url = "{server.url}"\n')
        run(settings, "openrouter_prices")
        prices |= {"n": "0.002"}
        del prices["q"]
        run(settings, "openrouter_prices", at=NOON + DAY_US)
    listed = command(tmp_path, "prices", "accept")
    assert "n at openrouter: input 0.00002 -> 0.002 USD per token is a jump" in listed.stdout
    assert "q at openrouter: it is not listed any more" in listed.stdout
    assert listed.stdout.endswith("2 pulled prices wait\n")
    entry = {
        line.split()[1]: line.split()[0] for line in listed.stdout.splitlines() if " at " in line and line[0] != " "
    }
    assert command(tmp_path, "prices", "accept", entry["n"]).stdout == "n at openrouter: accepted\n"
    assert command(tmp_path, "prices", "accept", entry["q"], "--decline").stdout == "q at openrouter: declined\n"
    again = command(tmp_path, "prices", "accept", entry["n"])
    assert (again.exit_code, "is in force" in again.stderr) == (1, True)
    assert command(tmp_path, "prices", "accept", "nope").exit_code == 1
    at = NOON + DAY_US
    assert [price_of(settings, "n", when) for when in (at - 1, at)] == [20_000_000, 2_000_000_000]
    assert price_of(settings, "q", at) == 50_000_000


def test_a_list_that_lost_most_of_its_models_is_not_believed(tmp_path: Path) -> None:
    prices = dict(MODELS)
    with answering(lambda asked: Reply(listing(prices)) if asked.path == "/models" else Reply(status=404)) as server:
        settings = settings_of(tmp_path, f'[pulls.openrouter]\nbase_url = "{server.url}"\n')
        run(settings, "openrouter_prices")
        for name in "mnop":
            del prices[name]
        (line,) = run(settings, "openrouter_prices", at=NOON + DAY_US)
    assert "the list names 1 of 5 models that it had: not believed" in line
    assert price_of(settings, "m", NOON + 2 * DAY_US) == 10_000_000


def test_a_model_s_name_never_leads_to_another_address(tmp_path: Path) -> None:
    hostile = ["../../keys", "a/../../keys", "m?x=1", "m#x", "a/b/c", "..", "m%2f..", "a b"]

    def answer(asked: Asked) -> Reply:
        return Reply(listing(dict.fromkeys(hostile, "0.00001"))) if asked.path == "/models" else Reply(status=404)

    with answering(answer) as server:
        own = "".join(f'[[endpoints]]\nmodel = "{name}"\nprovider = "openrouter"\n' for name in hostile)
        text = f'[pulls.openrouter]\n[providers.openrouter]\nkind = "openrouter"\nbase_url = "{server.url}"\n{own}'
        assert run(settings_of(tmp_path, text), "openrouter_prices") == []
        assert {each.path for each in server.asked} == {"/models"}


def test_single_providers_are_looked_at_for_configured_models(tmp_path: Path) -> None:
    behind = [
        {"provider_name": "DeepInfra", "tag": "deepinfra", "pricing": {"prompt": "0.000008", "completion": "0.00002"}}
    ]

    def answer(asked: Asked) -> Reply:
        return Reply(listing(MODELS)) if asked.path == "/models" else Reply({"data": {"endpoints": behind}})

    with answering(answer) as server:
        text = (
            f'[pulls.openrouter]\n[providers.openrouter]\nkind = "openrouter"\nbase_url = "{server.url}"\n'
            '[[endpoints]]\nmodel = "mine"\nprovider = "openrouter"\nupstream_model = "m"\n'
        )
        settings = settings_of(tmp_path, text)
        assert run(settings, "openrouter_prices") == []
        assert [each.path for each in server.asked] == ["/models", "/models/m/endpoints"]
    assert price_of(settings, "m", NOON, "openrouter/deepinfra") == 8_000_000
    assert price_of(settings, "m", NOON) == 10_000_000


INCIDENT = {
    "id": "i1",
    "name": "Elevated errors\n<b>",
    "status": "investigating",
    "impact": "major",
    "shortlink": "javascript:x",
    "created_at": "2026-10-01T11:00:00.000-07:00",
    "updated_at": "2026-10-01T18:30:00Z",
    "started_at": None,
    "resolved_at": None,
    "incident_updates": [],
    "components": [],
}


def test_status_pages_tell_of_incidents_until_they_are_over(tmp_path: Path) -> None:
    told = [dict(INCIDENT)]
    with (
        answering(lambda asked: Reply({"page": {}, "incidents": told})) as server,
        answering(lambda _: Reply(b"x")) as bad,
    ):
        pages = (("openai", server.url), ("broken", bad.url))
        text = "\n".join(f'[[status_pages]]\nprovider = "{name}"\nurl = "{url}"' for name, url in pages)
        settings = settings_of(tmp_path, text)
        (line,) = run(settings, "status_pages")
        assert "broken: " in line
        run(settings, "drain")
        day = Period(NOON - DAY_US, NOON + DAY_US, "UTC")
        (row,) = rows(ledger(settings), incidents_in(day))
        assert (row.name, row.impact, row.started_at, row.ended_at, row.url) == (
            "Elevated errors <b>", "major", instant("2026-10-01T18:00"), None, "",
        )  # fmt: skip
        told[0] |= {"status": "resolved", "resolved_at": "2026-10-01T19:00:00Z"}
        run(settings, "status_pages", at=NOON + DAY_US)
        run(settings, "drain")
    (row,) = rows(ledger(settings), incidents_in(day))
    assert row.ended_at == instant("2026-10-01T19:00")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[pulls.mine]", "'mine' is no provider that is known: add kind = openai or anthropic or openrouter"),
        ('[pulls.openai]\nwhat = ["activity"]', "'activity' is nothing to pull of openai: usage, costs"),
        ('[pulls.openai]\nbase_url = "x"', "pulls.openai.base_url = 'x' is not an address"),
        ('[[status_pages]]\nprovider = "p"', "needs `url`"),
    ],
)
def test_wrong_settings_are_one_sentence(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=told.replace("[", r"\[")):
        settings_of(tmp_path, text)
