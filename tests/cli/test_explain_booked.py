"""`callmeter explain --booked`: why a month books what it books, corrections of closed months included."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.cli import main
from collector.core.periods import parse_period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.finance.close import close
from collector.ledger.reprice import Author, Which, reprice
from tests.stored import NOW_US, SETS, ZONES, store
from tests.tables import calls, instant

NOVEMBER = ("explain", "--from", "2026-11-01", "--to", "2026-12-01")
CHEAPER = PriceSet(model="m", prices={"input": 5_000_000, "output": 30_000_000}, source="contract")
M = SETS[0].id


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """October is closed with 1,500 tokens at 10/M; then its first call is priced at 5/M, and two more arrive."""
    engine = store(tmp_path, calls("2026-10-01T12:00 openai m 1000/0 ok\n2026-10-30T12:00 openai m 500/0 ok"))
    close(engine, ZONES, "2026-10", "UTC", "ann", instant("2026-11-05T00:00"))
    first_day = Which(parse_period("2026-10-01..2026-10-02", "UTC", NOW_US))
    book = PriceBook([Files("test", [CHEAPER], Names())])
    reprice(engine, book, first_day, instant("2026-11-06T00:00"), Author("bob", "contract"))
    late = "2026-10-30T13:00 openai m 40/0 ok\n2026-10-30T13:00 openai other 7/0 ok\n2026-11-02T12:00 openai m 10/0 ok"
    store(tmp_path, calls(late)).dispose()
    return lambda *words: CliRunner().invoke(main, ["--data-dir", str(tmp_path), *words])


def test_a_month_says_what_it_corrects_and_why(run: Callable[..., Result]) -> None:
    assert run(*NOVEMBER, "--booked").stdout.splitlines() == [
        "2026-11 as it is booked in UTC, not closed",
        "",
        "its own usage",
        "  MODEL  PROVIDER  METER         QUANTITY  UNIT PRICE USD  COST USD  PRICE",
        f"  m      openai    input_tokens        10         0.00001    0.0001  {M}",
        "  total                                                      0.0001",
        "",
        "corrects 2026-10",
        "  MODEL  PROVIDER  METER         QUANTITY  UNIT PRICE USD  COST USD  PRICE",
        f"  m      openai    input_tokens      -960         0.00001   -0.0096  {M}",
        f"  m      openai    input_tokens     1,000        0.000005     0.005  {CHEAPER.id}",
        "  other  openai    input_tokens         7                            -",
        "  total                                                     -0.0046",
        "  -0.005 USD: 1 call priced anew by bob, because: contract",
        "  0.0004 USD: calls that arrived or were told of better after the close",
        "",
        "booked in all: -0.0045 USD",
    ]


def test_it_adds_up_to_the_file_of_the_month(run: Callable[..., Result], tmp_path: Path) -> None:
    told = json.loads(run(*NOVEMBER, "--booked", "--json").stdout)
    out = tmp_path / "out.csv"
    assert run("export", *NOVEMBER[1:], "--booked", "--out", str(out)).exit_code == 0
    assert out.read_text().splitlines()[-1].split(",")[10] == told["cost_usd"] == "-0.0045"
    own, corrects = told["sections"]
    assert (own["corrects"], own["priced_anew"], own["arrived_or_told_better_usd"]) == (None, [], None)
    assert corrects["priced_anew"] == [{"who": "bob", "why": "contract", "calls": 1, "cost_usd": "-0.005"}]
    assert (corrects["cost_usd"], corrects["arrived_or_told_better_usd"]) == ("-0.0046", "0.0004")


def test_a_closed_month_tells_what_it_corrected_then(run: Callable[..., Result], tmp_path: Path) -> None:
    engine = store(tmp_path, [])
    close(engine, ZONES, "2026-11", None, "ann", instant("2026-12-05T00:00"))
    before = run(*NOVEMBER, "--booked").stdout.splitlines()[1:]
    book = PriceBook([Files("test", [CHEAPER], Names())])
    which = Which(parse_period("2026-10", "UTC", NOW_US))
    reprice(engine, book, which, instant("2026-12-06T00:00"), Author("eve", "more of it"))
    assert run(*NOVEMBER, "--booked").stdout.splitlines() == [
        "2026-11 as it is booked in UTC, closed 2026-12-05T00:00:00.000000Z",
        *before,
    ]
    december = run("explain", "--from", "2026-12-01", "--to", "2027-01-01", "--booked").stdout
    assert "-0.0027 USD: 2 calls priced anew by eve, because: more of it" in december
    assert "arrived" not in december
    october = run("explain", "--from", "2026-10-01", "--to", "2026-11-01", "--booked").stdout
    assert "booked in all: 0.015 USD" in october


def test_corrections_may_be_more_than_64_bits_hold(tmp_path: Path) -> None:
    """A hundred calls at 100,000 USD each, by a price that was a million times too high."""
    dear, right = (PriceSet(model="m", prices={"input": price, "output": 0}, source="t") for price in (10**14, 10**8))
    typo, corrected = (PriceBook([Files("t", [each], Names())]) for each in (dear, right))
    table = "\n".join(f"2026-10-0{1 + n % 2}T12:00 openai m 1000/0 ok user=u{n}" for n in range(100))
    engine = store(tmp_path, calls(table), book=typo)
    close(engine, ZONES, "2026-10", "UTC", "ann", instant("2026-11-05T00:00"))
    which = Which(parse_period("2026-10", "UTC", NOW_US))
    reprice(engine, corrected, which, instant("2026-11-06T00:00"), Author("bob", "typo"))
    told = CliRunner().invoke(main, ["--data-dir", str(tmp_path), *NOVEMBER, "--booked"]).stdout
    assert "-9999990 USD: 100 calls priced anew by bob, because: typo" in told
    assert "arrived" not in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--booked", "--model", "m"), "leave out --model"),
        (("--booked", "--zone", "Europe/Berlin"), "closes in UTC"),
    ],
)
def test_what_is_not_booked_is_refused(run: Callable[..., Result], words: tuple[str, ...], said: str) -> None:
    done = run(*NOVEMBER, *words)
    assert (done.exit_code, said in done.stderr) == (2, True)
    assert "is not a month" in run("explain", "--from", "2026-11-01", "--to", "2026-11-08", "--booked").stderr
    assert run("explain", "--booked").exit_code == 2
