"""`callmeter collect` and `callmeter jobs`, as cron and a person run them."""

from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from collector.cli import main
from collector.jobs import JOBS
from collector.ledger.engines import open_ledger
from collector.ledger.journal import Writer
from collector.locks import hold
from collector.settings import load_settings
from tests.tables import calls

TABLE = """
12:00 openai openai/gpt-4-turbo 1000/500 ok 840ms images_in=2
12:01 openai openai/gpt-4-turbo 100/0    ok 840ms
"""


def run(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--data-dir", str(data_dir), *arguments])


def journal(data_dir: Path, table: str = TABLE) -> None:
    settings = load_settings(data_dir, environ={})
    writer = Writer(settings.journal_dir, "gateway", settings.limits, "interval")
    for call in calls(table):
        writer.whole(call)
    writer.stop()


def stored(data_dir: Path) -> tuple[int, int]:
    engine = open_ledger(f"sqlite:///{data_dir / 'callmeter.db'}", read_only=True)
    with engine.connect() as connection:
        calls, cost = connection.execute(sa.text("SELECT count(*), sum(cost_picousd) FROM v_calls")).one()
    return calls, cost


def test_collect_stores_what_is_journalled_and_again_changes_nothing(tmp_path: Path) -> None:
    journal(tmp_path)
    for _ in range(2):
        done = run(tmp_path, "collect")
        assert (done.exit_code, done.stdout) == (0, ""), done.stderr
        assert stored(tmp_path) == (2, 53_900_000_000 + 1_000_000_000)


def test_collect_is_75_while_others_do_all_that_is_due(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    locks.mkdir()
    with ExitStack() as held:
        for job in JOBS:
            held.enter_context(hold(locks / f"{job.name}.lock", job.name))
        done = run(tmp_path, "collect")
    assert done.exit_code == 75
    assert "callmeter: another process does this now: " in done.stderr


def test_a_job_is_75_while_another_process_does_it(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    with hold(tmp_path / "locks" / "drain.lock", "drain"):
        done = run(tmp_path, "jobs", "run", "drain")
    assert done.exit_code == 75
    assert "callmeter: another process does this now: drain" in done.stderr


def test_collect_exits_1_with_one_line_when_the_books_differ(tmp_path: Path) -> None:
    journal(tmp_path)
    assert run(tmp_path, "jobs", "run", "drain").exit_code == 0
    engine = open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE calls SET cost = cost + 1"))
    done = run(tmp_path, "collect")
    assert done.exit_code == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("callmeter: ")]
    assert line.startswith("callmeter: check: ")
    assert "check failed: " in run(tmp_path, "jobs").stdout
    checked = run(tmp_path, "check")
    assert checked.exit_code == 1
    assert (
        checked.stderr.splitlines()[-1] == f"callmeter: the books differ in {len(checked.stdout.splitlines())} places"
    )


def test_check_says_that_the_books_agree(tmp_path: Path) -> None:
    journal(tmp_path)
    run(tmp_path, "collect")
    done = run(tmp_path, "check")
    assert (done.exit_code, done.stdout) == (0, "the books agree: calls, sums, prices, closed months and the journal\n")


def test_jobs_lists_last_and_next(tmp_path: Path) -> None:
    run(tmp_path, "collect")
    done = run(tmp_path, "jobs")
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert {"job", *(job.name for job in JOBS)} == set(rows)
    assert " 1 day " in rows["check"]
    assert " UTC " in rows["check"]


def test_jobs_run_runs_one_though_it_is_not_due(tmp_path: Path) -> None:
    run(tmp_path, "collect")
    journal(tmp_path)
    assert run(tmp_path, "jobs", "run", "drain").exit_code == 0
    assert stored(tmp_path)[0] == 2


@pytest.mark.parametrize("name", ["", "drian"])
def test_a_job_that_does_not_exist_is_2(name: str, tmp_path: Path) -> None:
    done = run(tmp_path, "jobs", "run", name)
    assert done.exit_code == 2
    assert f"there is no job {name!r}: the jobs are zone, drain, " in done.stderr


def test_a_new_zone_gets_its_day_cells_from_the_rows(tmp_path: Path) -> None:
    journal(tmp_path)
    run(tmp_path, "collect")
    (tmp_path / "c.toml").write_text('[settings]\nzone = "Asia/Kathmandu"\n')
    assert run(tmp_path, "--config", str(tmp_path / "c.toml"), "collect").exit_code == 0
    engine = open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}")
    with engine.connect() as connection:
        query = "SELECT sum(calls) FROM usage_days JOIN names ON names.id = zone WHERE name = 'Asia/Kathmandu'"
        assert connection.scalar(sa.text(query)) == 2


def test_retention_says_beforehand_what_it_would_prune(tmp_path: Path) -> None:
    journal(tmp_path)
    run(tmp_path, "collect")
    (tmp_path / "c.toml").write_text("[settings]\nretention_days = 1\n")
    done = run(tmp_path, "--config", str(tmp_path / "c.toml"), "jobs", "run", "retention", "--dry-run")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("would prune 2 calls before 20")
    assert stored(tmp_path)[0] == 2
    assert run(tmp_path, "--config", str(tmp_path / "c.toml"), "jobs", "run", "retention").exit_code == 0
    assert stored(tmp_path)[0] == 0
    assert run(tmp_path, "check").stdout.startswith("the books agree")


def test_a_job_that_cannot_be_tried_dry_says_so(tmp_path: Path) -> None:
    done = run(tmp_path, "jobs", "run", "drain", "--dry-run")
    assert (done.exit_code, "cannot say beforehand" in done.stderr) == (2, True)
