"""`callmeter explain --from --to`: the chain behind a total, which ends at what the export says, to the last digit."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from collector.cli import main
from tests.stored import store
from tests.tables import calls

TABLE = """
    2026-10-01T12:00 openai m     1000/500 ok images_in=2 app=shop user=ann reported_cost=50000000000
    2026-10-01T22:30 dear   m     10/1     ok cache_read=5 reasoning=7 app=shop
    2026-10-02T12:00 openai m     100/10   ok app=blog
    2026-10-02T12:01 openai other 100/10   ok app=blog reported_cost=7
    2026-10-02T12:02 openai m     -        provider_fault
    2026-10-03T12:02 openai m     7/7      ok cost=5 app=blog
"""
DAYS = ("--from", "2026-10-01", "--to", "2026-10-04")
IMAGES = (
    "  Images: openai, azure, openrouter count the tokens of an image inside the prompt without stating them, so that"
    " the charge per image, 0.0289 USD for 2 images, comes on top of them. To charge tokens only, write"
    ' images = "in tokens" under [[endpoints]] in callmeter.toml.'
)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    store(tmp_path, calls(TABLE)).dispose()
    return lambda *words: CliRunner().invoke(main, ["--data-dir", str(tmp_path), *words])


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_total_in_words_section_by_section(run: Callable[..., Result]) -> None:
    text = run("explain", *DAYS, "--model", "m", "--app", "shop").stdout.splitlines()
    ids = [line.split(":")[0].strip() for line in text if "standard tier" in line]
    assert text == [
        "total of 2026-10-01 up to 2026-10-04 (UTC), model m, app shop",
        "",
        "1 call by one price",
        f"  {ids[0]}: m at any provider, standard tier",
        "  in force at all times; images: per image",
        "  Stated by test; no date of reading is given.",
        "  METER      QUANTITY  UNIT PRICE USD  COST USD  RULE",
        "  input         1,000         0.00001      0.01  listed",
        "  output          500         0.00003     0.015  listed",
        "  images_in         2         0.01445    0.0289  listed",
        "  total                                  0.0539",
        IMAGES,
        "  For 1 call the provider says what it charged: 0.05 USD; that is no part of the total.",
        "",
        "1 call by one price",
        f"  {ids[1]}: m at dear, standard tier",
        "  in force at all times; images: in tokens",
        "  Stated by test; no date of reading is given.",
        "  METER       QUANTITY  UNIT PRICE USD        COST USD  RULE",
        "  input             10  0.000020000001   0.00020000001  listed",
        "  cache_read         5  0.000020000001  0.000100000005  at the price of input",
        "  output             1  0.000060000007  0.000060000007  listed",
        "  reasoning          7  0.000060000007  0.000420000049  at the price of output",
        "  total                                 0.000780000071",
        "",
        "2 calls, 0 of them unpriced: total 0.054680000071 USD",
        "For 1 call the provider says what it charged: 0.05 USD; that is no part of the total.",
    ]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
@pytest.mark.parametrize("days", [DAYS, ("--from", "2026-10-02", "--to", "2026-10-03")])
def test_the_parts_add_up_to_the_total_of_the_export_to_the_last_digit(
    run: Callable[..., Result], tmp_path: Path, zone: str, days: tuple[str, ...]
) -> None:
    out = tmp_path / "out.csv"
    assert run("export", *days, "--zone", zone, "--out", str(out)).exit_code == 0
    total = out.read_text().splitlines()[-1].split(",")
    told = document(run("explain", *days, "--zone", zone, "--json"))
    assert told["cost_usd"] == total[-3]
    assert sum(part["calls"] for part in told["parts"]) == told["calls"]
    priced = [part for part in told["parts"] if not part["unpriced"]]
    assert sum(Decimal(part["cost_usd"]) for part in priced) == Decimal(told["cost_usd"])
    for part in priced:
        items = [Decimal(item["cost_usd"]) for item in part["items"]]
        assert sum(items) + Decimal(part["beyond_items_usd"]) == Decimal(part["cost_usd"])
        assert items == [item["quantity"] * Decimal(item["unit_price_usd"]) for item in part["items"]]


def test_a_line_of_the_export_is_explained_by_its_day_and_groups(run: Callable[..., Result]) -> None:
    one_day = ("--from", "2026-10-02", "--to", "2026-10-03", "--model", "m", "--provider", "openai")
    told = document(run("explain", *one_day, "--json"))
    assert (told["from"], told["zone"]) == ("2026-10-02", "UTC")
    assert told["selection"] == {"model": ["m"], "provider": ["openai"]}
    priced = next(part for part in told["parts"] if part["price"])
    assert [(item["meter"], item["quantity"], item["cost_usd"]) for item in priced["items"]] == [
        ("input", 100, "0.001"),
        ("output", 10, "0.0003"),
    ]


def test_what_is_unpriced_what_came_with_its_cost_and_what_is_reported_stand_apart(run: Callable[..., Result]) -> None:
    told = document(run("explain", *DAYS, "--json"))
    (unpriced,) = [part for part in told["parts"] if part["unpriced"]]
    assert (unpriced["cost_usd"], unpriced["meters"]) == (None, {"input": 100, "output": 10})
    assert unpriced["reported"] == {"calls": 1, "cost_usd": "0.000000000007"}
    assert told["reported"] == {"calls": 2, "cost_usd": "0.050000000007"}
    (stated,) = [part for part in told["parts"] if part["beyond_items_usd"] != "0"]
    assert (stated["calls"], stated["beyond_items_usd"], stated["price"]) == (2, "0.000000000005", None)
    assert (told["calls"], told["unpriced_calls"]) == (6, 1)


def test_calls_without_a_name_are_asked_for_by_an_empty_one(run: Callable[..., Result]) -> None:
    assert document(run("explain", *DAYS, "--app", "", "--json"))["calls"] == 1
    assert document(run("explain", *DAYS, "--app", "", "--app", "blog", "--json"))["calls"] == 4
    assert document(run("explain", *DAYS, "--user", "ann", "--json"))["cost_usd"] == "0.0539"


def test_days_without_calls_are_a_total_of_nothing(run: Callable[..., Result]) -> None:
    done = run("explain", "--from", "2020-01-01", "--to", "2020-02-01")
    assert done.stdout.splitlines()[-1] == "0 calls, 0 of them unpriced: total 0 USD"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a call, or the days of a total with --from and --to"),
        (("0" * 32, *DAYS), "name a call, or the days of a total"),
        (("--from", "2026-10-01"), "a total has a first day and an end"),
        (("--model", "m"), "a total has a first day and an end"),
        (("--from", "2026-10-04", "--to", "2026-10-01"), "is empty"),
        (("--from", "soon", "--to", "2026-10-01"), "soon"),
        ((*DAYS, "--zone", "Mars/Olympus"), "Mars/Olympus"),
        ((*DAYS, "--model", "a\x07"), "is not a name"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(run: Callable[..., Result], words: tuple[str, ...], said: str) -> None:
    done = run("explain", *words)
    assert done.exit_code == 2
    assert said in done.stderr.splitlines()[-1]
