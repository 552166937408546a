"""What OpenRouter charged for a real answer is what our book makes of it, but for the named causes."""

import re
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from collector.core.calls import Call
from collector.core.money import PICODOLLARS
from collector.core.outcomes import Outcome
from collector.core.prices import PriceBook, charge
from collector.core.prices.book import Files
from collector.core.usage import find_usage, read_usage
from collector.ledger.book.cards import load_names
from collector.ledger.book.genai import GenaiPrices
from collector.ledger.book.load import shipped_sets
from tests.real_usages import CASES, RealUsage, real_usages

AT_US = 1_782_864_000_000_000  # 2026-07-01, about when the newest were recorded
CAUSES = {"server tool", "file fee", "own key", "dearer route"}
PER = {"M": 1_000_000, "K": 1_000}


class Answer(NamedTuple):
    """One answer of OpenRouter that states a cost; money in USD."""

    usage: dict[str, Any]
    meters: dict[str, int]
    ours: Decimal
    reported: Decimal  # with what the owner of a key paid upstream

    @property
    def charged(self) -> Decimal:
        return Decimal(self.usage["cost"])


class Difference(NamedTuple):
    entry: str
    cause: str
    charged: str
    arithmetic: str
    words: str


LISTED = [
    Difference(*line.split(" | "))
    for line in (CASES / "openrouter_charged_differences.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.fixture(scope="module")
def answers() -> dict[str, Answer]:
    names = load_names()
    book = PriceBook([Files("data/prices", shipped_sets(), names), GenaiPrices(names)], names)
    usages = [(entry, find_usage(entry.place.shape, entry.body) or {}) for entry in real_usages()]
    return {entry.name: _answer(entry, usage, book) for entry, usage in usages if "cost" in usage}


def _answer(entry: RealUsage, usage: dict[str, Any], book: PriceBook) -> Answer:
    reading = read_usage(entry.place.shape, usage)
    stated = {"model": entry.model, "meters": reading.meters, "quality": reading.quality}
    charged = charge(Call("0", "test", AT_US, Outcome.OK, provider="openrouter", **stated), book)
    assert charged.cost is not None, (entry.name, charged.unpriced_reason)
    assert reading.reported_cost is not None
    return Answer(usage, reading.meters, *(Decimal(n) / PICODOLLARS for n in (charged.cost, reading.reported_cost)))


def test_every_charged_cost_is_ours_but_for_the_listed_ones(answers: dict[str, Answer]) -> None:
    assert len(answers) == 22
    assert {name for name, it in answers.items() if it.charged != it.ours} == {each.entry for each in LISTED}


@pytest.mark.parametrize("listed", LISTED, ids=lambda each: each.entry)
def test_a_listed_difference_has_a_named_cause_that_accounts_for_every_digit(
    answers: dict[str, Answer], listed: Difference
) -> None:
    answer = answers[listed.entry]
    assert listed.cause in CAUSES
    assert Decimal(listed.charged) == answer.charged
    assert _sum(listed.arithmetic, answer.ours) == answer.charged


def test_each_cause_shows_in_the_answer_that_it_is_named_for(answers: dict[str, Answer]) -> None:
    by_cause = {cause: [answers[each.entry] for each in LISTED if each.cause == cause] for cause in CAUSES}
    assert all(it.meters["server_tool_calls"] for it in by_cause["server tool"])
    assert all(it.usage["is_byok"] and it.reported == it.ours for it in by_cause["own key"])
    for it in by_cause["file fee"] + by_cause["server tool"]:
        parts = (it.usage["cost_details"][f"upstream_inference_{side}_cost"] for side in ("prompt", "completions"))
        assert round(sum(Decimal(part) for part in parts), 12) == it.ours
    for it in by_cause["dearer route"]:
        assert Decimal(it.usage["cost_details"]["upstream_inference_cost"]) == it.charged > it.ours


def _sum(text: str, ours: Decimal) -> Decimal:
    """The value of `ours + 1 x 2/K`, or of quantities times prices alone."""
    terms = re.split(r" (?=[+-] )", text)
    return sum((_term(term, ours) for term in terms), Decimal(0))


def _term(text: str, ours: Decimal) -> Decimal:
    sign, bare = (-1 if text.startswith("- ") else 1), text.removeprefix("+ ").removeprefix("- ")
    if product := re.fullmatch(r"([\d,]+) x ([\d.]+)/([MK])", bare):
        return sign * int(product[1].replace(",", "")) * Decimal(product[2]) / PER[product[3]]
    return sign * (ours if bare == "ours" else Decimal(bare))
