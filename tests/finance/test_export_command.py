import hashlib

import pytest
from click.testing import CliRunner

from collector.cli import main
from collector.finance.columns import COLUMNS
from collector.finance.csvtext import Rows, plain_text, safe_text
from collector.finance.manifest import from_json
from tests.stored import SETS, store
from tests.tables import calls

TABLE = """
    2026-10-01T12:00 openai m     1000/500 ok images_in=2 app==SUM(A1)
    2026-10-01T12:00 openai m     1000/500 ok cost=53900000005 app==SUM(A1)
    2026-10-01T13:00 openai other 7/8      ok app=shop
    2026-10-02T12:00 openai m     1/1      ok cost=-40000000 app=shop
    2026-10-02T12:00 openai free  1/1      ok app=shop
    2026-10-02T12:00 openai m     -        provider_fault images_in=1 quality=none app=shop
"""
M, FREE = SETS[0].id, SETS[2].id
DAYS = ("--from", "2026-10-01", "--to", "2026-10-03")
LINE_ITEMS = f"""\
day,app,unit,quantity,unit_price_usd,cost_usd,currency,price_id
2026-10-01,'=SUM(A1),input_tokens,1000,0,0,USD,
2026-10-01,'=SUM(A1),output_tokens,500,0,0,USD,
2026-10-01,'=SUM(A1),adjustment,1,0.053900000005,0.053900000005,USD,
2026-10-01,'=SUM(A1),input_tokens,1000,0.00001,0.01,USD,{M}
2026-10-01,'=SUM(A1),output_tokens,500,0.00003,0.015,USD,{M}
2026-10-01,'=SUM(A1),images_in,2,0.01445,0.0289,USD,{M}
2026-10-01,shop,input_tokens,7,,,USD,
2026-10-01,shop,output_tokens,8,,,USD,
2026-10-02,shop,input_tokens,1,0,0,USD,
2026-10-02,shop,output_tokens,1,0,0,USD,
2026-10-02,shop,images_in,1,0,0,USD,
2026-10-02,shop,adjustment,1,-0.00004,-0.00004,USD,
2026-10-02,shop,input_tokens,1,0,0,USD,{FREE}
2026-10-02,shop,output_tokens,1,0,0,USD,{FREE}
TOTAL,,,,,0.107760000005,USD,
"""


@pytest.fixture
def folder(tmp_path):
    store(tmp_path, calls(TABLE)).dispose()
    return tmp_path


def run(folder, *arguments):
    return CliRunner().invoke(main, ["--data-dir", str(folder), "export", *map(str, arguments)])


def test_line_items_hold_every_quantity_and_add_up_to_the_cost(folder):
    out = folder / "out.csv"
    result = run(folder, *DAYS, "--by", "day,app", "--out", out)
    assert result.exit_code == 0
    assert out.read_text() == LINE_ITEMS
    assert result.stdout == f"{out}: 14 rows, 6 calls, 0.107760000005 USD, 1 calls unpriced\n"


def test_the_manifest_ties_the_file_out(folder):
    out = folder / "out.csv"
    run(folder, *DAYS, "--by", "app", "--zone", "Asia/Kathmandu", "--out", out)
    manifest = from_json((folder / "out.csv.manifest.json").read_bytes())
    assert manifest.sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert (manifest.bytes, manifest.format_version, manifest.file) == (len(out.read_bytes()), 1, "out.csv")
    assert (manifest.zone, manifest.first_day, manifest.end_day) == ("Asia/Kathmandu", "2026-10-01", "2026-10-03")
    assert (manifest.cost_usd, manifest.rows) == ("0.107760000005", len(out.read_text().splitlines()) - 2)
    assert manifest.unpriced == {"calls": 1, "input_tokens": 7, "output_tokens": 8}


def test_the_same_request_writes_the_same_bytes(folder):
    for name in ("a.csv", "b.csv"):
        assert run(folder, *DAYS, "--by", "model,user,key", "--out", folder / name).exit_code == 0
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_without_columns_to_group_by_the_total_stands_under_unit(folder):
    assert run(folder, *DAYS, "--by", "", "--out", folder / "out.csv").exit_code == 0
    assert (folder / "out.csv").read_text().splitlines()[-1] == "TOTAL,,,0.107760000005,USD,"


def test_jsonl_line_items_say_the_same(folder):
    assert run(folder, *DAYS, "--by", "day,app", "--format", "jsonl", "--out", folder / "out.jsonl").exit_code == 0
    lines = (folder / "out.jsonl").read_text().splitlines()
    assert len(lines) == len(LINE_ITEMS.splitlines()) - 1
    assert lines[6] == (
        '{"day":"2026-10-01","app":"shop","unit":"input_tokens","quantity":7,"unit_price_usd":null,"cost_usd":null,'
        '"currency":"USD","price_id":null}'
    )
    assert lines[-1] == '{"day":"TOTAL","cost_usd":"0.107760000005","currency":"USD"}'


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--format", "xlsx"), "'xlsx' is not available: write one of csv, jsonl, parquet"),
        (("--format", "focus", "--calls"), "--format focus has no single calls"),
        (("--format", "focus", "--by", "day"), "FOCUS has groups of its own"),
        (("--by", "colour"), "'colour' is not a column to group by"),
        (("--by", "day,day"), "names 'day' twice"),
        (("--calls", "--by", "day"), "leave it out with --calls"),
        (("--zone", "Mars/Base"), "Mars/Base"),
        (("--from", "yesterday"), "'yesterday' is not a day"),
        (("--to", "2026-10-01"), "empty"),
    ],
)
def test_wrong_use_is_exit_code_2_and_writes_nothing(folder, arguments, named):
    result = run(folder, *DAYS, *arguments, "--out", folder / "out.csv")
    assert (result.exit_code, list(folder.glob("*out.csv*"))) == (2, [])
    assert named in result.stderr


def test_every_column_is_explained_without_a_ledger(tmp_path):
    result = run(tmp_path / "none", "--columns")
    assert result.exit_code == 0
    for column in COLUMNS:
        assert column.meaning in result.stdout
        assert f"  {column.name} " in result.stdout


def test_a_ledger_is_never_made_by_reading(tmp_path):
    result = run(tmp_path / "none", *DAYS, "--out", tmp_path / "out.csv")
    assert result.exit_code == 1
    assert "callmeter up" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(folder):
    (folder / "old.csv").write_text("old")
    (folder / "old.csv.manifest.json").mkdir()
    result = run(folder, *DAYS, "--out", folder / "old.csv")
    assert result.exit_code == 1
    assert not list(folder.glob(".*partial*"))


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1", "'=1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@a", "'@a"),
        ("\ta", "'\ta"),
        ("\ra", "'\ra"),
        ("'a", "''a"),
        ("'", "''"),
        ("a=1", "a=1"),
        (" =1", " =1"),
        ("", ""),
        ("1", "1"),
    ],
)
def test_text_that_a_spreadsheet_would_run_gets_one_quote_and_comes_back(text, cell):
    assert safe_text(text) == cell
    assert plain_text(cell) == text


def test_fields_are_quoted_where_they_must_be():
    text = Rows().text([["a,b", 'q"u', "c\rd", "e\nf", None, -5, "g"]])
    assert text == '"a,b","q""u","c\rd","e\nf",,-5,g\n'


def test_a_report_currency_adds_columns_that_say_by_what_rate(folder):
    (folder / "callmeter.toml").write_text(
        '[finance]\nreport_currency = "EUR"\n'
        'rates = [{currency = "EUR", date = 2026-09-30, per_usd = 0.91, source = "ECB"}]\n'
    )
    out = folder / "out.csv"
    arguments = ["--config", folder / "callmeter.toml", "--data-dir", folder, "export", *DAYS, "--by", "day"]
    result = CliRunner().invoke(main, [*map(str, arguments), "--out", str(out)])
    assert result.exit_code == 0
    head, first, *_, last = out.read_text().splitlines()
    assert head == (
        "day,unit,quantity,unit_price_usd,cost_usd,currency,price_id,"
        "report_cost_rounded,report_currency,report_rate,report_rate_date"
    )
    assert first == "2026-10-01,input_tokens,1000,0,0,USD,,0.000000,EUR,0.91,2026-09-30"
    assert last == "TOTAL,,,,0.107760000005,USD,,0.098062,EUR,0.91,2026-09-30"
    report = from_json((folder / "out.csv.manifest.json").read_bytes()).report
    assert (report.cost_rounded, report.per_usd, report.rate_source) == ("0.098062", "0.91", "ECB")
