"""SIGKILL in the middle of every job: what it left is whole, and the next run ends as if nothing had happened."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.jobs import JOBS, collect, job_named
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.ledger.journal import Writer
from collector.settings import Settings, load_settings
from tests.answering import Asked, Reply, Server, answering
from tests.ledger.contents import contents
from tests.pulls.test_jobs import INCIDENT, listing
from tests.pulls.test_sums import ACTIVITY, ANTHROPIC, COMPLETIONS, bucket, page
from tests.tables import calls

CALLS = 600
KILLED_AFTER_S = (0.08, 0.04, 0.02, 0.01, 0.0, 0.0, 0.0)  # sooner where a job was quicker


def answer(asked: Asked) -> Reply:
    """Every source at once, slowly."""
    time.sleep(0.02)
    last = asked.path.rpartition("/")[2]
    if last == "activity":
        return Reply({"data": [{**ACTIVITY, "date": asked.param("date")}]})
    if last == "credits":
        return Reply({"data": {"total_credits": 100, "total_usage": 25}}, wait_s=0.3)
    if last == "key":
        return Reply({"data": dict.fromkeys(("usage", "usage_daily", "usage_weekly", "usage_monthly"), 1)}, wait_s=0.3)
    if last == "completions" and asked.method == "GET":
        return page(bucket(COMPLETIONS, day=int(asked.param("start_time")) // 86_400))
    if last == "costs":
        return page(bucket({"amount": {"value": 1, "currency": "usd"}}, day=int(asked.param("start_time")) // 86_400))
    if last in ("messages", "cost_report"):
        result = ANTHROPIC if last == "messages" else {"amount": "100", "currency": "USD"}
        return Reply({"data": [{"starting_at": asked.param("starting_at"), "results": [result]}]})
    if last == "incidents.json":
        return Reply({"incidents": [INCIDENT]}, wait_s=0.3)
    if last == "models":
        return Reply(listing({f"m{n}": "0.00001" for n in range(200)}), wait_s=0.3)
    if last == "generation":
        return Reply(status=404)
    return page() if asked.path.startswith("/organization/usage") else Reply({}, wait_s=0.3)


def configured(folder: Path, server: Server) -> Path:
    """A data directory in which every job has something to do, once its journal is filled."""
    folder.mkdir()
    url = server.url
    (folder / "c.toml").write_text(f"""
[settings]
zone = "Asia/Kathmandu"
retention_days = 30
heartbeat_url = "{url}/ping"
[providers.p]
base_url = "{url}/v1"
[[endpoints]]
model = "m"
provider = "p"
[settings.limits]
pull_days = 60
[probes]
token_calls_per_day = 144
[pulls.openrouter]
base_url = "{url}"
[pulls.openai]
base_url = "{url}"
[pulls.anthropic]
base_url = "{url}"
[[status_pages]]
provider = "p"
url = "{url}"
[[channels]]
kind = "webhook"
url = "{url}/hook"
[[budgets]]
scope = "all"
period = "month"
limit_usd = 1
[backups]
dir = "{folder / "kept"}"
[finance]
folder = "{folder / "delivered"}"
""")
    return folder


def filled(folder: Path) -> Path:
    """Calls of several months in the journal, one of them with partial usage."""
    writer = Writer(folder / "journal", "gateway", fsync="interval")
    lines = (f"2026-0{n % 8 + 1}-1{n % 9} {n} openai m {n}/5 ok app=a{n % 7} user=u{n % 50}" for n in range(CALLS))
    for line in lines:
        day, n, rest = line.split(" ", 2)
        for each in calls(f"{day}T12:{int(n) % 60:02d} {rest}"):
            writer.whole(each)
    partial = "11:30 openrouter m 1/1 cancelled quality=partial origin_id=gen-1"
    for each in calls(partial, day=time.strftime("%Y-%m-%d", time.gmtime())):
        writer.whole(each)
    writer.stop()
    return folder


def settings_of(folder: Path) -> Settings:
    return load_settings(folder, config=folder / "c.toml", environ={})


def now_us() -> int:
    return time.time_ns() // 1000


@pytest.fixture(scope="module")
def drained(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose journal is in the ledger, without day cells of its zone."""
    folder = filled(configured(tmp_path_factory.mktemp("killed") / "drained", server))
    before = msgspec.structs.replace(settings_of(folder), zone="UTC")
    assert collect(before, now_us, [job_named("drain")]) == []
    return folder


@contextmanager
def running(folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """The job in a process of its own."""
    files = ("--data-dir", str(folder), "--config", str(folder / "c.toml"))
    job = subprocess.Popen(
        [sys.executable, "-m", "collector.cli", *files, "jobs", "run", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield job
    finally:
        job.kill()
        job.wait()


def has_begun(folder: Path, name: str) -> bool:
    engine = open_ledger(settings_of(folder).ledger_url, read_only=True)
    try:
        with engine.connect() as connection:
            query = "SELECT count(*) FROM job_runs WHERE name = ? AND ended_at IS NULL"
            return bool(connection.exec_driver_sql(query, (name,)).scalar_one())
    finally:
        engine.dispose()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with answering(answer) as running_server:
        yield running_server


def differences(folder: Path) -> list[str]:
    engine = open_ledger(settings_of(folder).ledger_url)
    try:
        return check(engine, folder / "journal")
    finally:
        engine.dispose()


def told(folder: Path) -> dict[str, Any]:
    """Everything but when it was read or done."""
    engine = open_ledger(settings_of(folder).ledger_url)
    found: dict[str, Any] = contents(engine)
    with engine.connect() as connection:
        for table, columns in (
            ("provider_sums", "source, day, provider, model, key, line, requests, input_tokens, cost"),
            ("pulled_prices", "provider, model, sets, state"),
            ("incidents", "page, id, name, ended_at"),
            ("pruned_days", "day, calls, cost"),
            ("alerts", "rule, subject, step"),
        ):
            query = f"SELECT DISTINCT {columns} FROM {table} ORDER BY {columns}"
            found[table] = [tuple(row) for row in connection.exec_driver_sql(query)]
    for each in found["v_attempts"], found["health"]:
        each.clear()  # probes happen as often as they are made
    engine.dispose()
    return found


def made(folder: Path, name: str, server: Server, drained: Path) -> Path:
    """A data directory in which the job has something to do."""
    configured(folder, server)
    if name == "drain":
        open_ledger(settings_of(filled(folder)).ledger_url, create=True).dispose()
    else:
        shutil.copyfile(drained / "callmeter.db", folder / "callmeter.db")
    return folder


def killed_in_the_middle(folder: Path, name: str, after_s: float) -> bool:
    """Kills the job some time after it has begun; False when it was quicker."""
    with running(folder, name) as job:
        until = time.monotonic() + 30
        while job.poll() is None and not has_begun(folder, name) and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(after_s)
        os.kill(job.pid, signal.SIGKILL)
        return job.wait() == -signal.SIGKILL


@pytest.mark.parametrize("name", [job.name for job in JOBS])
def test_a_job_that_was_killed_leaves_the_books_right_and_is_done_by_the_next_run(
    name: str, server: Server, drained: Path, tmp_path: Path
) -> None:
    tries = ((made(tmp_path / str(n), name, server, drained), after_s) for n, after_s in enumerate(KILLED_AFTER_S))
    folder = next(folder for folder, after_s in tries if killed_in_the_middle(folder, name, after_s))
    undisturbed = made(tmp_path / "undisturbed", name, server, drained)
    assert differences(folder) == []
    for each in (folder, undisturbed):
        assert collect(settings_of(each), now_us, [job_named(name), job_named("drain")]) == []
    assert told(folder) == told(undisturbed)
    assert differences(folder) == []
    left = [path.name for path in (folder / "kept").iterdir()] if (folder / "kept").exists() else []
    assert all(path.endswith(".tar") for path in left if not path.startswith(".callmeter-"))
