import gzip

import pytest
from click.testing import CliRunner

from collector.cli import imports, main
from collector.ledger.engines import open_ledger
from collector.locks import hold

HEADER = "started_at,input_tokens,output_tokens\n"


def run(folder, *arguments):
    return CliRunner().invoke(main, ["--data-dir", str(folder), *map(str, arguments)])


def count(folder, table):
    engine = open_ledger(f"sqlite:///{folder}/callmeter.db", read_only=True)
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "calls.csv"


def test_good_rows_are_in_the_ledger_and_bad_ones_are_listed(tmp_path, file):
    bad = "".join(f"2026-10-01T12:00Z,-{n},1\n" for n in range(1, 31))
    file.write_text(f"{HEADER}2026-10-01T12:00Z,10,5\n{bad}2026-10-01T12:01Z,20,5\n")
    result = run(tmp_path, "import", file, "--format", "csv", "--model", "openai/gpt-4-turbo", "--provider", "openai")
    assert result.exit_code == 0
    assert result.stdout == "accepted 32: stored 2, merged 0 (already there), rejected 30\n"
    assert "line 3: input_tokens -1 is negative" in result.stderr
    assert "line 22: input_tokens -20 is negative" in result.stderr
    assert "line 23" not in result.stderr
    assert "and 10 more rejected rows" in result.stderr
    assert (count(tmp_path, "v_calls"), count(tmp_path, "rejects")) == (2, 30)


def test_the_same_file_twice_and_grown_adds_only_what_is_new(tmp_path, file):
    file.write_text(f"{HEADER}2026-10-01T12:00Z,10,5\n2026-10-01T12:00Z,10,5\n")
    assert "stored 2, merged 0" in run(tmp_path, "import", file, "--format", "csv").stdout
    assert "stored 0, merged 2" in run(tmp_path, "import", file, "--format", "csv").stdout
    with file.open("a") as more:
        more.write("2026-10-01T12:00Z,10,5\n")
    assert "stored 1, merged 2" in run(tmp_path, "import", file, "--format", "csv").stdout
    assert count(tmp_path, "v_calls") == 3


def test_a_file_that_breaks_off_fails_after_what_could_be_read_is_in_the_ledger(tmp_path):
    rows = "".join(f"2026-10-01T12:00Z,{n},{n * 7919 % 1000}\n" for n in range(20_000))
    packed = gzip.compress((HEADER + rows).encode())
    file = tmp_path / "calls.csv.gz"
    file.write_bytes(packed[: len(packed) // 2])
    result = run(tmp_path, "import", file, "--format", "csv")
    assert result.exit_code == 1
    assert "broken gzip file" in result.stderr
    stored = count(tmp_path, "v_calls")
    assert 1_000 < stored < 20_000
    assert f"stored {stored}," in result.stdout


def test_while_another_process_drains_it_waits_and_then_says_so(tmp_path, file, monkeypatch):
    monkeypatch.setattr(imports, "LOCK_WAIT_S", 0.0)
    file.write_text(f"{HEADER}2026-10-01T12:00Z,10,5\n")
    open_ledger(f"sqlite:///{tmp_path}/callmeter.db", create=True).dispose()
    with hold(tmp_path / "ingest.lock", "ingest"):
        result = run(tmp_path, "import", file, "--format", "csv")
    assert result.exit_code == 75
    assert count(tmp_path, "v_calls") == 0
    assert run(tmp_path, "import", file, "--format", "csv").exit_code == 0
    assert count(tmp_path, "v_calls") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--format", "xml"), "'xml' cannot be read: write one of jsonl, csv, azure"),
        (("--format", "csv", "--columns", "started_at"), "'started_at' maps nothing"),
        (("--format", "csv", "--columns", "colour=c"), "'colour' is no column of ours"),
        (("--format", "csv", "--zone", "Mars/Base"), "Mars/Base"),
        ((), "--format"),
    ],
)
def test_wrong_use_is_exit_code_2_and_names_the_value(tmp_path, file, arguments, named):
    file.write_text(HEADER)
    result = run(tmp_path, "import", file, *arguments)
    assert result.exit_code == 2
    assert named in result.stderr


def test_a_file_without_calls_leaves_a_ledger_without_calls(tmp_path, file):
    file.write_text("")
    result = run(tmp_path, "import", file, "--format", "csv")
    assert (result.exit_code, result.stdout) == (0, "accepted 0: stored 0, merged 0 (already there), rejected 0\n")
