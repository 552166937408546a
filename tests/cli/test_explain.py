"""`callmeter explain`: the chain behind a cost, with every number worked out by hand."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from collector.cli import main
from collector.core.calls import Call
from collector.core.periods import parse_period
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.core.selection import Selection
from collector.finance.explain import explain
from collector.finance.explain_text import lines
from collector.finance.records import instant
from collector.finance.why_total import why_total
from collector.ledger.book import load_book
from collector.ledger.questions import spend
from collector.ledger.questions.ask import declared_zones, rows, total
from collector.ledger.reprice import Author, Which, reprice
from collector.settings import Limits, load_settings
from tests.stored import NOW_US, ZONES, store
from tests.tables import call, calls

TURBO = "12:00 openai openai/gpt-4-turbo 1000/500 ok 840ms images_in=2 http_status=200 finish_reason=stop"


@pytest.fixture
def ledger(tmp_path: Path) -> Callable[..., list[Call]]:
    """Stores the calls of a table, priced by the shipped prices, and returns them."""

    def put(table: str, book: PriceBook | None = None) -> list[Call]:
        told = calls(table)
        store(tmp_path, told, book=book or load_book(load_settings(tmp_path, environ={}))).dispose()
        return told

    return put


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(main, ["--data-dir", str(tmp_path), *words])


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_gpt_4_turbo_with_two_images_costs_0_0539_line_by_line(ledger: Any, run: Any) -> None:
    (one,) = ledger(TURBO)
    told = document(run("explain", one.id, "--json"))
    products = [(i["meter"], i["quantity"], i["unit_price_usd"], i["cost_usd"]) for i in told["cost"]["items"]]
    assert products == [
        ("input", 1000, "0.00001", "0.01"),
        ("output", 500, "0.00003", "0.015"),
        ("images_in", 2, "0.01445", "0.0289"),
    ]
    assert told["cost"]["cost_usd"] == told["cost"]["first_cost_usd"] == "0.0539"
    assert told["cost"]["beyond_items_usd"] == "0"
    assert "0.0289 USD for 2 images, comes on top" in told["cost"]["notice"]
    assert 'images = "in tokens" under [[endpoints]]' in told["cost"]["notice"]
    assert told["price"]["price_id"] == told["call"]["price_id"]
    assert (told["price"]["from"], told["price"]["until"], told["price"]["images"]) == (None, None, "per image")
    assert told["adjustments"] == []
    assert [witness["source"] for witness in told["witnesses"]] == ["gateway"]
    assert [attempt["provider"] for attempt in told["attempts"]] == ["openai"]


PLANNED = '{"by":"draw by price","endpoints":[["azure","first"],["openai","last: failing"]]}'
PLANNED_TWO = '{"by":"order of the settings","endpoints":[["a","first","m"],["b","dropped: is to be ignored","n"]]}'


def test_the_plan_of_a_call_is_told_with_what_became_of_it(ledger: Any, run: Any) -> None:
    tried = "attempts=azure:provider_fault,openai:ok"
    ok, refused = ledger(f"12:00 openai m 10/5 ok plan={PLANNED.replace(' ', '_')} {tried}\n12:01 - m - refused")
    told = document(run("explain", ok.id, "--json"))["plan"]
    assert told == {
        "by": "draw_by_price",
        "endpoints": [
            {"provider": "azure", "verdict": "first"},
            {"provider": "openai", "verdict": "last:_failing"},
        ],
    }
    assert document(run("explain", refused.id, "--json"))["plan"] is None


def test_the_text_of_a_plan_names_models_where_there_are_several(tmp_path: Path, run: Any) -> None:
    told = [msgspec.structs.replace(each, plan=PLANNED_TWO) for each in calls("12:00 - m - refused http_status=404")]
    store(tmp_path, told).dispose()
    lines = run("explain", told[0].id).stdout.splitlines()
    at = lines.index("plan")
    assert lines[at : at + 4] == [
        "plan",
        "  by order of the settings",
        "  a  m  first",
        "  b  n  dropped: is to be ignored",
    ]


def test_the_text_is_aligned_and_says_the_same(ledger: Any, run: Any) -> None:
    (one,) = ledger(TURBO)
    done = run("explain", one.id)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:15] == [
        f"call {one.id}, 2026-10-01T12:00:00.000000Z",
        "  model        openai/gpt-4-turbo",
        "  provider     openai",
        "  outcome      ok, HTTP 200, finished by stop, 840 ms",
        "  usage        exact, 1,000 tokens in, 500 tokens out",
        "",
        "attempts",
        "  1  openai  openai/gpt-4-turbo  ok  200    840 ms",
        "",
        "cost",
        "  Each quantity times its unit price; the sum is the cost.",
        "  METER      QUANTITY  UNIT PRICE USD  COST USD  RULE",
        "  input         1,000         0.00001      0.01  listed: 10 USD per 1,000,000",
        "  output          500         0.00003     0.015  listed: 30 USD per 1,000,000",
        "  images_in         2         0.01445    0.0289  listed: 14.45 USD per 1,000",
    ]
    assert done.stdout.splitlines()[15] == "  total                                  0.0539"
    assert "Stated by " in done.stdout


def test_an_unknown_call_is_one_clear_line_and_wrong_text_is_wrong_use(ledger: Any, run: Any) -> None:
    ledger(TURBO)
    unknown = run("explain", "0" * 32)
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    (_, said) = unknown.stderr.splitlines()
    assert said.startswith(f"callmeter: there is no call {'0' * 32} in this ledger: ")
    assert run("explain", "chatcmpl-1").exit_code == 2


def test_a_ledger_that_is_not_there_is_not_made(run: Any, tmp_path: Path) -> None:
    assert run("explain", "0" * 32).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_an_own_price_says_what_the_list_asks(ledger: Any, run: Any, tmp_path: Path) -> None:
    own = '[[prices]]\nmodel = "openai/gpt-4-turbo"\ninput_usd_per_m = 8.5\noutput_usd_per_m = 30\n'
    (tmp_path / "prices.toml").write_text(own)
    (one,) = ledger("12:00 openai openai/gpt-4-turbo 1000/500 ok")
    source = "https://openrouter.ai/openai/gpt-4-turbo"
    said = "an own price; the list (%s) says input 0.00001 USD, output 0.00003 USD, images_in 0.01445 USD"
    assert f"  {said % source}" in run("explain", one.id).stdout.splitlines()
    told = document(run("explain", one.id, "--json"))
    assert told["cost"]["cost_usd"] == "0.0235"
    assert told["price"]["list_prices_usd"] == {"input": "0.00001", "output": "0.00003", "images_in": "0.01445"}
    assert told["price"]["list_source"] == source


def test_a_part_paid_upstream_with_an_own_key_is_said(ledger: Any, run: Any) -> None:
    (one,) = ledger(f"{TURBO} reported_cost=25000000000 own_key_cost=24000000000")
    assert document(run("explain", one.id, "--json"))["reported"]["own_key_usd"] == "0.024"
    said = "openai says that it charged 0.025 USD (0.024 USD of them paid upstream with an own key), 0.0289 USD less"
    assert said in run("explain", one.id).stdout


def test_what_the_provider_charged_stands_beside_the_cost(ledger: Any, run: Any) -> None:
    (one,) = ledger(f"{TURBO} reported_cost=25000000000")
    told = document(run("explain", one.id, "--json"))
    assert told["reported"] == {"cost_usd": "0.025", "beyond_cost_usd": "-0.0289", "own_key_usd": None}
    assert told["cost"]["cost_usd"] == "0.0539"
    assert "  openai says that it charged 0.025 USD, 0.0289 USD less than the cost." in run("explain", one.id).stdout


def test_unpriced_says_why_what_was_used_and_what_to_do(ledger: Any, run: Any) -> None:
    (one,) = ledger("12:00 acme acme/house-model 70/30 ok")
    told = document(run("explain", one.id, "--json"))
    assert (told["cost"]["cost_usd"], told["price"], told["cost"]["items"]) == (None, None, [])
    text = run("explain", one.id).stdout
    assert "  Unpriced: no price for acme/house-model at acme." in text
    assert "callmeter reprice --from 2026-10-01 --to 2026-10-02 --zone UTC" in text
    assert "  input         70" in text.splitlines()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "12:00 openai m - provider_fault http_status=503",
            "as provider_fault and no usage was reported: nothing",
        ),
        ("12:00 openai openai/gpt-4-turbo 0/0 ok", "Usage was reported and is 0: nothing is charged."),
        ("12:00 openai openai/gpt-4-turbo - cancelled", "Unpriced: no usage was reported."),
        ("12:00 openai m 7/7 ok cost=12", "The cost came with the call, from gateway; no price came with it."),
    ],
)
def test_a_cost_without_a_product_says_why(ledger: Any, run: Any, line: str, said: str) -> None:
    (one,) = ledger(line)
    assert said in run("explain", one.id).stdout


def test_a_cost_that_came_with_the_call_is_one_line_beyond_its_products(ledger: Any, run: Any) -> None:
    (one,) = ledger("12:00 openai m 7/7 ok cost=12")
    told = document(run("explain", one.id, "--json"))
    assert (told["cost"]["came_with_the_call"], told["cost"]["beyond_items_usd"]) == (True, "0.000000000012")


def test_a_call_that_two_sources_told_of_names_both_and_answers_to_both_ids(ledger: Any, run: Any) -> None:
    gateway, other = ledger(
        f"{TURBO} origin_id=r1 attempts=azure:provider_fault,openai:ok\n"
        "12:00:01 openai openai/gpt-4-turbo 1000/500 ok source=otlp origin_id=r1"
    )
    told = document(run("explain", other.id, "--json"))
    assert told["call"]["id"] == gateway.id
    assert [(each["source"], each["id"]) for each in told["witnesses"]] == [("gateway", gateway.id), ("otlp", other.id)]
    assert [(each["provider"], each["outcome"]) for each in told["attempts"]] == [
        ("azure", "provider_fault"),
        ("openai", "ok"),
    ]


def test_adjustments_are_told_and_the_first_cost_stays_readable(tmp_path: Path) -> None:
    one = call("12:00 openai m 100/10 ok")
    engine = store(tmp_path, [one], book=PriceBook())
    settings = load_settings(tmp_path, environ={})
    october = parse_period("2026-10", "UTC", NOW_US)
    for at, price in enumerate((5, 7)):
        sets = [PriceSet(model="m", prices={"input": price, "output": 0}, source="test", checked="2026-10-01")]
        later = PriceBook([Files("test", sets, Names())])
        reprice(engine, later, Which(october), NOW_US + at, Author("ann", "contract 17"))
    told = explain(engine, settings, one.id, date(2026, 10, 3))
    assert (told.first_cost, told.cost) == (None, 700)
    assert [(each.who, each.why, each.old_cost, each.new_cost) for each in told.adjustments] == [
        ("ann", "contract 17", None, 500),
        ("ann", "contract 17", 500, 700),
    ]
    text = list(lines(told))
    assert "  At first it was unpriced; see adjustments." in text
    assert "  Stated by test, read on 2026-10-01, 2 days ago." in text
    said = "unpriced (no price for m at openai) -> 0.0000000005 USD, because: contract 17"
    assert f"  {instant(NOW_US)} by ann: {said}" in text
    engine.dispose()


TABLE = """
    2026-10-01T21:30 openai m     1000/500 ok images_in=2 app=shop user=ann
    2026-10-01T22:30 dear   m     10/1     ok cache_read=5 reasoning=7 app=shop
    2026-10-02T12:00 openai m     100/10   ok app=blog
    2026-10-02T12:01 openai other 100/10   ok app=blog
    2026-10-02T12:02 openai m     -        provider_fault
    2026-10-03T12:02 openai m     7/7      ok cost=5 app=blog
"""


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
@pytest.mark.parametrize("chosen", [{}, {"apps": ("shop",)}, {"models": ("other",)}, {"users": ("ann",)}])
def test_a_total_is_explained_by_parts_that_add_up_to_what_the_screen_shows(
    tmp_path: Path, zone: str, chosen: dict[str, Any]
) -> None:
    engine = store(tmp_path, calls(TABLE))
    selection = Selection(zone=zone, **chosen)
    period = parse_period("2026-10-01..2026-10-05", zone, NOW_US)
    told = why_total(engine, selection, period, declared_zones(engine), date(2026, 10, 5))
    shown = rows(engine, spend.spend_per_day(selection, period, declared_zones(engine), Limits()))
    assert told.cost == total(shown, "cost_picousd")
    assert told.calls == total(shown, "calls")
    assert told.unpriced_calls == total(shown, "unpriced_calls")
    for part in told.parts:
        assert sum(item.cost for item in part.items) + part.beyond == part.cost
        assert all(item.quantity * item.unit_price == item.cost for item in part.items)
    engine.dispose()


def test_the_parts_of_a_total_by_hand(tmp_path: Path) -> None:
    engine = store(tmp_path, calls(TABLE))
    period = parse_period("2026-10-01..2026-10-03", "UTC", NOW_US)
    told = why_total(engine, Selection(), period, ZONES, date(2026, 10, 5))
    by_price = {part.price.provider or "any": part for part in told.parts if part.price}
    assert [(item.meter, item.quantity, item.unit_price) for item in by_price["any"].items] == [
        ("input", 1_100, 10_000_000),
        ("output", 510, 30_000_000),
        ("images_in", 2, 14_450_000_000),
    ]
    assert by_price["any"].cost == 11_000_000_000 + 15_300_000_000 + 28_900_000_000
    rules = {item.meter: item.rule for item in by_price["dear"].items}
    assert rules["cache_read"] == "at the price of input"
    unpriced = [part for part in told.parts if part.is_unpriced]
    assert [(part.calls, part.meters, part.items) for part in unpriced] == [(1, {"input": 100, "output": 10}, ())]
    engine.dispose()
