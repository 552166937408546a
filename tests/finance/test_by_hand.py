"""A small ledger worked out with pencil and paper: rows, files, explanations and the screen say the same, to the digit.

The calls and their arithmetic stand in tests/cases/by_hand.txt, their prices in by_hand.toml; everything goes through
the commands that a user runs.
"""

import json
import re
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from collector.cli import main
from collector.core.calls import Call
from collector.core.meters import METERS
from collector.core.periods import parse_period
from collector.core.selection import Selection
from collector.finance.records import instant
from collector.ledger.engines import open_ledger
from collector.ledger.questions import spend
from collector.ledger.questions.ask import declared_zones, rows
from collector.settings import Limits
from dashboard.frames.spend import says
from tests.stored import NOW_US
from tests.tables import calls

CASES = Path(__file__).parents[1] / "cases"
OCTOBER = ("--from", "2026-10-01", "--to", "2026-11-01")
PER = {"M": 1_000_000, "K": 1_000, "1": 1}
Run = Callable[..., str]


class Case(NamedTuple):
    call: Call
    products: list[Decimal]
    cost: Decimal | None
    reason: str | None


def worked_out() -> list[Case]:
    lines = [line for line in (CASES / "by_hand.txt").read_text().splitlines() if line and line[0] != "#"]
    return [_case(one, below.strip()) for one, below in zip(calls("\n".join(lines[::2])), lines[1::2], strict=True)]


def _case(one: Call, below: str) -> Case:
    if below.startswith("unpriced: "):
        return Case(one, [], None, below.removeprefix("unpriced: "))
    shown, usd = below.split(" = ")
    products = [product for term in shown.split(" + ") if (product := _product(term))]
    assert sum(products) == Decimal(usd), below
    return Case(one, products, Decimal(usd), None)


def _product(term: str) -> Decimal:
    quantity, usd, per = re.fullmatch(r"([\d,]+) x ([\d.]+)/([MK1])", term).groups()  # type: ignore[union-attr]
    return int(quantity.replace(",", "")) * Decimal(usd) / PER[per]


ALL = worked_out()
TOTAL = sum((case.cost or Decimal(0) for case in ALL), Decimal(0))


def _line(one: Call) -> str:
    """The call as a line of our own JSONL, without a cost."""
    names = ("id", "model", "provider", "key", "outcome", "http_status", "service_tier", "source")
    stated = {name: value for name in names if (value := getattr(one, name)) is not None}
    common = {METERS[name].column: n for name, n in one.meters.items() if METERS[name].common}
    sparse = {name: n for name, n in one.meters.items() if not METERS[name].common}
    more = {"started_at": instant(one.started_at), "usage_quality": one.quality, "meters": sparse}
    return json.dumps(stated | common | more | {"reported_cost_picousd": one.reported_cost})


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory in which the prices were added and the calls imported."""
    folder = tmp_path_factory.mktemp("by-hand")
    (folder / "calls.jsonl").write_text("\n".join(_line(case.call) for case in ALL))
    for words in (("prices", "add", CASES / "by_hand.toml"), ("import", folder / "calls.jsonl", "--format", "jsonl")):
        ran = CliRunner().invoke(main, ["--data-dir", str(folder), *map(str, words)])
        assert ran.exit_code == 0, ran.output
    return folder


@pytest.fixture
def run(ledger: Path) -> Run:
    def run(*words: object) -> str:
        ran = CliRunner().invoke(main, ["--data-dir", str(ledger), *map(str, words)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    return run


def view(folder: Path, columns: str) -> dict[str, tuple[Any, ...]]:
    with sqlite3.connect(f"file:{folder / 'callmeter.db'}?mode=ro", uri=True) as connection:
        return {row[0]: row[1:] for row in connection.execute(f"SELECT id, {columns} FROM v_calls")}


def test_every_row_costs_what_was_worked_out(ledger: Path) -> None:
    found = view(ledger, "cost_usd, unpriced_reason")
    told = {key: (None if usd is None else Decimal(usd), reason) for key, (usd, reason) in found.items()}
    assert told == {case.call.id: (case.cost, case.reason) for case in ALL}


def test_explain_shows_the_products_that_were_worked_out(run: Run) -> None:
    for case in ALL:
        told = json.loads(run("explain", case.call.id, "--json"))["cost"]
        products = [Decimal(item["cost_usd"]) for item in told["items"]]
        assert sorted(filter(None, products)) == sorted(case.products)
        assert all(Decimal(i["unit_price_usd"]) * i["quantity"] == Decimal(i["cost_usd"]) for i in told["items"])
        assert told["beyond_items_usd"] == "0"


@pytest.mark.parametrize("by", ["day,model,provider", "key", ""])
def test_the_files_total_and_what_explains_it_are_the_sum(run: Run, tmp_path: Path, by: str) -> None:
    out = tmp_path / "out.csv"
    run("export", *OCTOBER, "--by", by, "--out", out)
    lines = [line.split(",") for line in out.read_text().splitlines()]
    place = lines[0].index("cost_usd")
    assert Decimal(lines[-1][place]) == TOTAL
    assert sum(Decimal(line[place]) for line in lines[1:-1] if line[place]) == TOTAL
    told = json.loads(run("explain", *OCTOBER, "--json"))
    assert Decimal(told["cost_usd"]) == TOTAL
    assert (told["calls"], told["unpriced_calls"]) == (len(ALL), sum(case.cost is None for case in ALL))
    assert told["reported"] == {"calls": 2, "cost_usd": "0.019"}


def test_the_screen_says_the_same(ledger: Path) -> None:
    engine = open_ledger(f"sqlite:///{ledger / 'callmeter.db'}", read_only=True)
    period = parse_period("2026-10", "UTC", NOW_US)
    found = rows(engine, spend.spend_per_day(Selection(), period, declared_zones(engine), Limits()))
    engine.dispose()
    assert says(found) == f"Exactly ${TOTAL}, plus {sum(case.cost is None for case in ALL)} calls without a price"


def test_a_day_by_night_has_the_costs_of_its_calls(run: Run) -> None:
    """Berlin's 15 October begins at 22:00 UTC of the 14th."""
    day = ("--from", "2026-10-15", "--to", "2026-10-16", "--zone", "Europe/Berlin")
    start, end = (f"2026-10-{n}T22:00" for n in (14, 15))
    within = [case for case in ALL if start <= instant(case.call.started_at) < end]
    assert len(within) == 6
    told = json.loads(run("explain", *day, "--json"))
    assert Decimal(told["cost_usd"]) == sum(case.cost or 0 for case in within)


def test_reprice_shows_then_does_what_a_new_price_and_a_corrected_one_come_to(tmp_path: Path, ledger: Path) -> None:
    """acme/nope gets a price, 5 x 1/M + 5 x 2/M and 1,000 x 1/M + 500 x 2/M; the night was 0.4 and not 0.5 USD."""
    folder = tmp_path / "data"
    folder.mkdir()
    with sqlite3.connect(ledger / "callmeter.db") as source, sqlite3.connect(folder / "callmeter.db") as target:
        source.backup(target)
    corrected = (ledger / "prices.toml").read_text().replace("input_usd_per_m = 0.5\n", "input_usd_per_m = 0.4\n")
    (folder / "prices.toml").write_text(corrected)
    (tmp_path / "new.toml").write_text(
        '[[prices]]\nmodel = "acme/nope"\ninput_usd_per_m = 1\noutput_usd_per_m = 2\nsource = "contract 19"\n'
    )

    def run(*words: object) -> str:
        ran = CliRunner().invoke(main, ["--data-dir", str(folder), *map(str, words)])
        assert ran.exit_code == 0, ran.output
        return ran.stdout

    before = view(folder, "cost_usd, original_cost_picousd, price_id")
    run("prices", "add", tmp_path / "new.toml")
    assert view(folder, "cost_usd, original_cost_picousd, price_id") == before
    shown = run("reprice", *OCTOBER, "--dry-run").splitlines()
    assert [line.split() for line in shown[:4]] == [
        ["MONTH", "MODEL", "CALLS", "WERE", "UNPRICED", "OLD", "USD", "NEW", "USD", "DIFFERENCE"],
        ["2026-10", "acme/night", "2", "0", "0.002", "0.0018", "-0.0002"],
        ["2026-10", "acme/nope", "2", "2", "0", "0.002015", "0.002015"],
        ["TOTAL", "4", "2", "0.002", "0.003815", "0.001815"],
    ]
    assert f"their spend is {TOTAL} USD and would be {TOTAL + Decimal('0.001815')} USD" in "\n".join(shown)
    assert view(folder, "cost_usd, original_cost_picousd, price_id") == before
    run("reprice", *OCTOBER, "--reason", "contract 19")
    changed = [row for key, row in view(folder, "cost_usd, original_cost_picousd").items() if row != before[key][:2]]
    assert sorted(changed) == [
        ("0.000015", 15_000_000),
        ("0.0009", 1_000_000_000),
        ("0.0009", 1_000_000_000),
        ("0.002", 2_000_000_000),
    ]
    assert Decimal(json.loads(run("explain", *OCTOBER, "--json"))["cost_usd"]) == TOTAL + Decimal("0.001815")
    assert "the books agree" in run("check")
