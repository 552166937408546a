"""`callmeter close`, `reopen` and `export --booked`, as they are typed."""

import pytest
from click.testing import CliRunner

from collector.cli import close as module
from collector.cli import main
from collector.ledger.journal import Writer
from tests.stored import store
from tests.tables import call, calls, instant

TABLE = "2026-10-01T12:00 openai m 1000/500 ok app=shop\n2026-10-02T12:00 openai none 1/1 ok"
OCTOBER = ("--from", "2026-10-01", "--to", "2026-11-01")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "now_us", lambda: instant("2026-12-05T06:07"))
    monkeypatch.setattr(module, "os_user", lambda: "ann")
    store(tmp_path, calls(TABLE)).dispose()
    return lambda *arguments: CliRunner().invoke(main, ["--data-dir", str(tmp_path), *map(str, arguments)])


def test_close_export_reopen_and_the_list_of_closes(run, tmp_path):
    done = run("close", "2026-10", "--zone", "UTC")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            "2026-10 is closed in UTC: 4 rows, 2 calls, 0.025 USD",
            "its file: callmeter export --from 2026-10-01 --to 2026-11-01 --booked --out callmeter-2026-10.csv",
        ],
    )
    assert "1 of the calls have no price" in done.stderr
    for name in ("a.csv", "b.csv"):
        assert run("export", *OCTOBER, "--booked", "--out", tmp_path / name).exit_code == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert run("check").stdout == "the books agree: calls, sums, prices, closed months and the journal\n"
    assert run("reopen", "2026-10", "--reason", "wrong rate").exit_code == 0
    assert run("close").stdout.splitlines() == [
        "MONTH    ZONE  CLOSED             BY   COST USD  REOPENED           BY   WHY",
        "2026-10  UTC   2026-12-05T06:07Z  ann     0.025  2026-12-05T06:07Z  ann  wrong rate",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("close",), "no month was closed yet"),
        (("close", "2026-10"), "write --zone"),
        (("close", "2026-10", "--zone", "Mars/Base"), "'Mars/Base' is not a time zone"),
        (("close", "2026-12", "--zone", "UTC"), "2026-12 is not over"),
        (("reopen", "2026-10"), "--reason"),
        (("reopen", "2026-10", "--reason", " "), "--reason is empty"),
        (("reopen", "2026-10", "--reason", "x"), "no month is closed"),
        (("export", *OCTOBER, "--booked", "--by", "day", "--out", "x.csv"), "leave it out with --booked"),
        (("export", *OCTOBER, "--booked", "--calls", "--out", "x.csv"), "leave out --calls"),
        (("export", "--from", "2026-10-01", "--to", "2026-12-01", "--booked", "--out", "x.csv"), "is not a month"),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_what_to_write(run, arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr


def test_calls_that_wait_in_the_journal_are_in_the_month_that_is_closed(run, tmp_path):
    writer = Writer(tmp_path / "journal", "test", fsync="interval")
    writer.whole(call("2026-10-31T12:00 openai m 1000/0 ok"))
    writer.stop()
    assert "5 rows, 3 calls, 0.025 USD" in run("close", "2026-10", "--zone", "UTC").stdout


def test_months_are_booked_in_no_other_zone(run, tmp_path):
    run("close", "2026-10", "--zone", "Europe/Berlin")
    done = run("export", *OCTOBER, "--booked", "--zone", "UTC", "--out", tmp_path / "x.csv")
    assert (done.exit_code, "closes in Europe/Berlin" in done.stderr) == (2, True)
    assert run("export", *OCTOBER, "--booked", "--out", tmp_path / "x.csv").exit_code == 0


def test_before_any_close_a_month_books_what_it_used(run, tmp_path):
    done = run("export", *OCTOBER, "--booked", "--out", tmp_path / "x.csv")
    assert (done.exit_code, "4 rows, 2 calls, 0.025 USD" in done.stdout) == (0, True)


def test_check_says_that_a_closed_file_was_changed(run, tmp_path):
    run("close", "2026-10", "--zone", "UTC")
    engine = store(tmp_path, [])
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM closed_pieces")
    done = run("check")
    assert (done.exit_code, "its stored file is not the one" in done.stdout) == (1, True)
