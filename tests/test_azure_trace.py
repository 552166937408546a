"""The Azure trace of 2023, 19,366 real calls: import, charts and export against a script that knows none of them."""

import csv
import gzip
import io
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli import main
from collector.core.money import format_usd, parse_usd
from collector.core.periods import parse_period
from collector.core.selection import Selection
from collector.ledger.engines import open_ledger
from collector.ledger.questions import spend, uptime, usage
from collector.ledger.questions.ask import declared_zones, rows, total
from collector.settings import Limits
from tests.shared_data import shared

FLAGS = ("--format", "azure", "--model", "openai/gpt-4-turbo", "--provider", "openai")
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns", "Pacific/Apia")
LIMITS = Limits()


def independent(path: Path) -> tuple[Counter[str], int, int]:
    """Tokens by minute, calls, and picodollars: $10 and $30 per million tokens are 10 and 30 million p$ a token."""
    minutes: Counter[str] = Counter()
    calls = cost = 0
    with gzip.open(path, "rt", newline="") as file:
        for row in csv.DictReader(file):
            read, written = int(row["ContextTokens"]), int(row["GeneratedTokens"])
            minutes[row["TIMESTAMP"][:16]] += read + written
            cost += read * 10_000_000 + written * 30_000_000
            calls += 1
    return minutes, calls, cost


def run(folder: Path, *arguments: str) -> str:
    result = CliRunner().invoke(main, ["--data-dir", str(folder), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def trace() -> Path:
    return shared("azure_llm_2023_conv.csv.gz")


@pytest.fixture(scope="module")
def imported(trace, tmp_path_factory):
    """The ledger's folder, and what the import said."""
    folder = tmp_path_factory.mktemp("azure")
    return folder, run(folder, "import", str(trace), *FLAGS)


def engine_of(imported):
    return open_ledger(f"sqlite:///{imported[0]}/callmeter.db", read_only=True)


def test_every_call_is_stored(imported):
    assert imported[1] == "accepted 19366: stored 19366, merged 0 (already there), rejected 0\n"


def test_tokens_per_minute_are_what_the_file_says(trace, imported):
    with engine_of(imported).connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT replace(substr(started_at, 1, 16), 'T', ' ') AS minute, sum(input_tokens + output_tokens)"
            " FROM v_calls GROUP BY minute"
        )
        assert dict(map(tuple, found)) == dict(independent(trace)[0])


@pytest.mark.parametrize("zone", ZONES)
def test_spend_and_tokens_are_what_the_file_says_in_any_zone(trace, imported, zone):
    minutes, calls, cost = independent(trace)
    engine = engine_of(imported)
    question = (Selection(zone=zone), parse_period("2023-11-15..2023-11-19", zone, 0), declared_zones(engine), LIMITS)
    money, tokens = rows(engine, spend.spend_per_day(*question)), rows(engine, usage.tokens_per_day(*question))
    assert (total(money, "cost_picousd"), total(money, "calls")) == (cost, calls) == (346_278_650_000_000, 19_366)
    assert total(tokens, "tokens_in") + total(tokens, "tokens_out") == minutes.total()
    assert total(money, "unpriced_calls") == 0


@pytest.mark.parametrize("by", ["day", "model,day", "user", "app,key"])
def test_the_total_of_the_csv_is_what_the_file_says(trace, imported, tmp_path, by):
    out = tmp_path / "trace.csv"
    run(imported[0], "export", "--from", "2023-11-16", "--to", "2023-11-18", "--by", by, "--out", str(out))
    *lines, last = csv.DictReader(io.StringIO(out.read_text()))
    cost = independent(trace)[2]
    assert last["cost_usd"] == format_usd(cost) == "346.27865"
    assert sum(parse_usd(line["cost_usd"]) for line in lines) == cost
    assert sum(int(line["quantity"]) for line in lines) == independent(trace)[0].total()


def test_a_source_without_statuses_says_nothing_about_uptime(imported):
    engine = engine_of(imported)
    period = parse_period("2023-11-16", "UTC", 0)
    found = rows(engine, uptime.provider_uptime(Selection(), period, declared_zones(engine), "day"))
    assert total(found, "ok") == total(found, "provider_fault") == total(found, "rate_limited") == 0


def test_importing_it_twice_changes_nothing(trace, imported, tmp_path):
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    export = ("export", "--from", "2023-11-16", "--to", "2023-11-18", "--calls", "--format", "jsonl", "--out")
    run(imported[0], *export, str(before))
    again = run(imported[0], "import", str(trace), *FLAGS)
    assert again == "accepted 19366: stored 0, merged 19366 (already there), rejected 0\n"
    run(imported[0], *export, str(after))
    assert before.read_bytes() == after.read_bytes()
