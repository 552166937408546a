"""The day's and the month's files come by themselves, whole, once, and again when they changed."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from collector.cli import main
from collector.core.errors import UsageError
from collector.finance.close import close
from collector.finance.deliver import deliver, due
from collector.ledger.schema import delivered_files
from collector.settings import Finance
from tests.stored import ZONES, store
from tests.tables import calls, instant

TABLE = """
    2026-09-30T12:00 openai m 10/0 ok
    2026-10-30T12:00 openai m 20/0 ok app=shop
    2026-11-01T12:00 openai m 30/0 ok
"""
BOTH = Finance(formats=("csv", "focus"))


@pytest.fixture
def engine(tmp_path):
    engine = store(tmp_path, calls(TABLE))
    yield engine
    engine.dispose()


def run(engine, folder, now, finance=BOTH, zone="UTC"):
    return deliver(engine, ZONES, finance, folder, zone, instant(now))


def log(engine):
    with engine.connect() as connection:
        found = connection.execute(sa.select(delivered_files).order_by(delivered_files.c.id)).all()
    return [(row.file, row.usd, row.state) for row in found]


def test_days_and_months_that_are_over_are_delivered_once(engine, tmp_path):
    folder = tmp_path / "out"
    assert run(engine, folder, "2026-11-02T00:10") == 70
    names = {path.name for path in folder.iterdir()}
    assert len(names) == 140  # each with its manifest
    assert {"callmeter-2026-09-30.csv", "callmeter-2026-11-01.csv", "callmeter-2026-11-01-focus.csv"} <= names
    assert {"callmeter-2026-09.csv", "callmeter-2026-10-focus.csv"} <= names
    assert not [name for name in names if name.startswith(("callmeter-2026-11-02", "callmeter-2026-11.", "."))]
    assert ("callmeter-2026-10.csv", "0.0002", "open") in log(engine)
    manifest = json.loads((folder / "callmeter-2026-10-30.csv.manifest.json").read_bytes())
    assert (manifest["cost_usd"], manifest["columns"][:5]) == ("0.0002", ["day", "model", "provider", "app", "key"])
    for path in folder.iterdir():
        path.unlink()  # taken away by whoever reads them
    assert run(engine, folder, "2026-11-02T01:10") == 0
    assert run(engine, folder, "2026-11-03T00:10") == 2


def test_what_changed_is_delivered_again(engine, tmp_path):
    finance = Finance(formats=("csv",))
    run(engine, tmp_path / "out", "2026-11-02T00:10", finance)
    store(tmp_path, calls("2026-10-30T13:00 openai m 1/0 ok"))
    before = len(log(engine))
    assert run(engine, tmp_path / "out", "2026-11-02T00:20", finance) == 2
    assert log(engine)[before:] == [
        ("callmeter-2026-10-30.csv", "0.00021", ""),
        ("callmeter-2026-10.csv", "0.00021", "open"),
    ]


def test_a_closed_month_is_delivered_as_it_was_closed_and_then_never_changes(engine, tmp_path):
    finance = Finance(formats=("csv",))
    run(engine, tmp_path / "out", "2026-11-02T00:10", finance)
    for month in ("2026-09", "2026-10"):
        close(engine, ZONES, month, "UTC", "ann", instant("2026-11-02T00:15"))
    store(tmp_path, calls("2026-10-30T13:00 openai m 1/0 ok"))
    before = len(log(engine))
    run(engine, tmp_path / "out", "2026-11-02T00:20", finance)
    assert [file for file, _, _ in log(engine)[before:]] == ["callmeter-2026-10-30.csv"]  # the same bytes as when open
    assert (tmp_path / "out" / "callmeter-2026-10.csv").read_text().splitlines()[-1].split(",")[-3] == "0.0002"


def test_days_are_those_of_the_zone_that_the_ledger_closes_in(engine):
    close(engine, ZONES, "2026-09", "Asia/Kathmandu", "ann", instant("2026-11-02T00:15"))
    names = [file.name for file in due(engine, Finance(), "UTC", instant("2026-11-01T18:14"))]  # 23:59 there
    assert ("callmeter-2026-10-31.csv" in names, "callmeter-2026-11-01.csv" in names) == (True, False)


def test_a_long_silence_is_caught_up_with_in_bounds(engine):
    assert len(list(due(engine, Finance(), "UTC", instant("2027-06-01T00:00")))) == 35 + 2


def test_a_ledger_without_calls_delivers_nothing_old(tmp_path):
    engine = store(tmp_path, [])
    assert len(list(due(engine, Finance(), "UTC", instant("2026-11-01T00:00")))) <= 35 + 2


def test_a_folder_that_is_a_file_is_refused(engine, tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is not a folder: name another one"):
        run(engine, tmp_path / "out", "2026-11-02T00:10")


def test_a_file_that_cannot_be_written_is_tried_again(engine, tmp_path):
    (tmp_path / "out" / "callmeter-2026-10-30.csv").mkdir(parents=True)
    with pytest.raises(OSError, match="callmeter-2026-10-30"):
        run(engine, tmp_path / "out", "2026-11-02T00:10")
    (tmp_path / "out" / "callmeter-2026-10-30.csv").rmdir()
    run(engine, tmp_path / "out", "2026-11-02T00:10")
    assert sorted({file for file, _, _ in log(engine)}) == sorted(file for file, _, _ in log(engine))


def test_cron_delivers_what_is_over_and_logs_it(tmp_path):
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    store(tmp_path, calls(f"{yesterday}T12:00 openai m 1000/0 ok")).dispose()
    (tmp_path / "callmeter.toml").write_text(f'[finance]\nfolder = "{tmp_path / "out"}"\nformats = ["csv", "focus"]\n')

    def collect():
        done = CliRunner().invoke(
            main, ["--data-dir", str(tmp_path), "--config", str(tmp_path / "callmeter.toml"), "collect"]
        )
        assert done.exit_code == 0, done.stderr
        engine = store(tmp_path, [])
        found = log(engine)
        engine.dispose()
        return found

    found = collect()
    assert (f"callmeter-{yesterday}.csv", "0.01", "") in found
    assert f"callmeter-{yesterday}-focus.csv" in {file for file, _, _ in found}
    assert (tmp_path / "out" / f"callmeter-{yesterday}.csv").read_text().endswith(",0.01,USD,\n")
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert collect() == found
