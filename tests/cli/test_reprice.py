"""`callmeter reprice`: look first, then change; one at a time; killed at any point the books agree."""

import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.cli import acts, main
from collector.core.prices import PriceBook
from collector.ledger import reprice as ledger_reprice
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.locks import hold
from tests.stored import store
from tests.tables import calls

TABLE = """
    2026-10-01T12:00 acme acme/house  1000000/100 ok
    2026-10-31T23:30 acme acme/house  500000/0    ok
    2026-10-02T12:00 acme acme/other  7/7         ok tool_calls=2
"""
PRICE = """\
[[prices]]
model = "acme/house"
input_usd_per_m = 2
output_usd_per_m = 4
source = "contract 17"
"""
OCTOBER = ("reprice", "--from", "2026-10-01", "--to", "2026-11-01")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    store(tmp_path, calls(TABLE), book=PriceBook()).dispose()
    (tmp_path / "prices.toml").write_text(PRICE)
    return lambda *words: CliRunner().invoke(main, ["--data-dir", str(tmp_path), *words])


def test_a_dry_run_shows_month_model_old_new_and_what_stays_unpriced(run: Callable[..., Result]) -> None:
    done = run(*OCTOBER, "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "MONTH    MODEL       CALLS  WERE UNPRICED  OLD USD  NEW USD  DIFFERENCE",
        "2026-10  acme/house      2              2        0   3.0004      3.0004",
        "TOTAL                    2              2        0   3.0004      3.0004",
        "",
        "3 calls looked at, 2 would change; their spend is 0 USD and would be 3.0004 USD",
        "",
        "unpriced stay 1 call:",
        "  1 call: no price for acme/other at acme (7 input, 7 output, 2 tool_calls)",
    ]
    assert run(*OCTOBER, "--dry-run").stdout == done.stdout


def test_the_run_changes_what_was_shown_names_who_did_it_and_a_second_one_nothing(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    done = run(*OCTOBER, "--reason", "contract 17")
    assert "3 calls looked at, 2 changed; their spend is 0 USD and is now 3.0004 USD" in done.stdout
    with open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}").connect() as connection:
        joined = "adjustments JOIN names AS w ON w.id = who JOIN names AS y ON y.id = why"
        query = f"SELECT DISTINCT w.name, y.name FROM {joined}"
        assert connection.exec_driver_sql(query).all() == [(pwd.getpwuid(os.getuid()).pw_name, "contract 17")]
    assert "3 calls looked at, 0 changed; their spend is 3.0004 USD" in run(*OCTOBER).stdout
    assert run("check").exit_code == 0


def test_months_are_counted_in_the_zone(run: Callable[..., Result]) -> None:
    done = run("reprice", "--from", "2026-10-01", "--to", "2026-11-02", "--zone", "Europe/Berlin", "--dry-run")
    assert [line.split()[:3] for line in done.stdout.splitlines()[1:3]] == [
        ["2026-10", "acme/house", "1"],
        ["2026-11", "acme/house", "1"],
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("reprice", "--from", "2026-10-01", "--to", "2026-10-01"),
        ("reprice", "--from", "October", "--to", "2026-11-01"),
        (*OCTOBER, "--zone", "Mars/Olympus"),
        (*OCTOBER, "--reason", " "),
        ("reprice",),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(run: Callable[..., Result], words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("callmeter: ")


def test_while_another_process_holds_the_lock_only_a_dry_run_runs(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "LOCK_WAIT_S", 0.0)
    with hold(tmp_path / "ingest.lock", "a test"):
        assert run(*OCTOBER).exit_code == 75
        assert run(*OCTOBER, "--dry-run").exit_code == 0


def test_the_lock_is_left_free_between_turns_for_the_ingest(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_reprice, "_ROWS_AT_ONCE", 1)
    monkeypatch.setattr("collector.cli.reprice.TURN_S", 0.0)
    held: list[bool] = []

    def look(_: float) -> None:  # what stands for the pause
        with hold(tmp_path / "ingest.lock", "the ingest"):
            held.append(True)

    monkeypatch.setattr("collector.locks.time.sleep", look)
    done = run(*OCTOBER)
    assert "3 calls looked at, 2 changed" in done.stdout
    assert len(held) == 3  # between its four pages, the last of them empty
    with hold(tmp_path / "ingest.lock", "afterwards"):
        assert run("check").exit_code == 0


def test_prices_check_lists_what_is_unpriced_and_the_line_that_fills_it_in(run: Callable[..., Result]) -> None:
    told = run("prices", "check").stdout.splitlines()
    assert told[-3:] == [
        "unpriced: 2 calls, no price for acme/house at acme (1,500,000 input_tokens, 100 output_tokens),"
        " 2026-10-01 to 2026-10-31",
        "unpriced: 1 call, no price for acme/other at acme (7 input_tokens, 7 output_tokens, 2 tool_calls), 2026-10-02",
        "3 calls unpriced: add prices, then `callmeter reprice --from 2026-10-01 --to 2026-11-01 --zone UTC`",
    ]
    run(*OCTOBER)
    assert [line for line in run("prices", "check").stdout.splitlines() if line.startswith("unpriced")] == [
        "unpriced: 1 call, no price for acme/other at acme (7 input_tokens, 7 output_tokens, 2 tool_calls), 2026-10-02"
    ]


def test_a_reason_that_names_no_model_is_told_with_it(tmp_path: Path) -> None:
    store(tmp_path, calls("12:00 acme acme/house - ok\n12:01 - - - ok"), book=PriceBook()).dispose()
    listed = CliRunner().invoke(main, ["--data-dir", str(tmp_path), "prices", "check"]).stdout
    assert "unpriced: 1 call, no usage was reported: acme/house at acme (no usage stated), 2026-10-01" in listed
    assert "unpriced: 1 call, no usage was reported: no model at no provider (no usage stated), 2026-10-01" in listed
    told = CliRunner().invoke(main, ["--data-dir", str(tmp_path), *OCTOBER, "--dry-run"]).stdout
    assert "  1 call: no usage was reported: acme/house at acme (nothing stated)" in told


KILLED = """
import os, signal, sys
from collector.ledger import reprice as module
from collector.cli import main
pages, place = 0, sys.argv[1]
module._ROWS_AT_ONCE = 4
def dies(step):
    def stepped(*args, **kwargs):
        global pages
        done = step(*args, **kwargs)
        pages += 1
        if pages == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return stepped
if place == "between":
    module._Run._page = dies(module._Run._page)
else:
    module.Cells.write = dies(module.Cells.write)  # the rows are changed, the transaction is not over
main(sys.argv[2:])
"""


@pytest.mark.parametrize(("place", "changed"), [("between", 8), ("within", 4)])
def test_a_run_that_is_killed_leaves_books_that_agree_and_the_next_one_does_the_rest(
    tmp_path: Path, place: str, changed: int
) -> None:
    table = "\n".join(f"2026-10-01T12:{at:02} acme acme/house {at}/1 ok" for at in range(10))
    store(tmp_path, calls(table), book=PriceBook()).dispose()
    (tmp_path / "prices.toml").write_text(PRICE)
    words = [sys.executable, "-c", KILLED, place, "--data-dir", str(tmp_path), *OCTOBER]
    assert subprocess.run(words, capture_output=True, check=False).returncode == -signal.SIGKILL
    engine = open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}")
    count = "SELECT count(cost), (SELECT count(*) FROM adjustments) FROM calls"
    with engine.connect() as connection:
        assert connection.exec_driver_sql(count).one() == (changed, changed)
    assert check(engine) == []
    CliRunner().invoke(main, ["--data-dir", str(tmp_path), *OCTOBER], catch_exceptions=False)
    with engine.connect() as connection:
        assert connection.exec_driver_sql(count).one() == (10, 10)
    assert check(engine) == []
    engine.dispose()
