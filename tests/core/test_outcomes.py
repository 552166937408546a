"""Whose fault it was, case by case: the table is tests/cases/outcomes.txt."""

from typing import Any, NamedTuple

import pytest

from collector.core.outcomes import (
    FINISH_REASONS,
    OUTCOMES,
    OUTCOMES_BY_CODE,
    Facts,
    Outcome,
    decide,
    ending_of,
    normal_finish_reason,
)
from tests.real_usages import read_table

KEY_HOLDERS = ("ours", "caller", "unknown")
SOURCES = ("gateway", "transport", "otlp", "jsonl", "azure")
FLAGS: dict[str, dict[str, Any]] = {
    "streamed": {"streamed": True},
    "no-terminal": {"terminal": False},
    "error-inside": {"error_inside": True},
    "left": {"client": "left"},
    "left-after-finish": {"client": "left_after_finish"},
    "refused": {"refused": True},
    "interrupted": {"interrupted": True},
}


class Line(NamedTuple):
    status: str
    error_type: str
    key: str
    source: str
    besides: str
    outcome: str

    def facts(self) -> list[Facts]:
        keys = KEY_HOLDERS if self.key == "*" else (self.key,)
        sources = SOURCES if self.source == "*" else (self.source,)
        return [Facts(**{**self._stated(), "key_holder": key, "source": source}) for key in keys for source in sources]

    def _stated(self) -> dict[str, Any]:
        stated: dict[str, Any] = {"status": None if self.status == "-" else int(self.status)}
        if self.error_type != "-":
            stated["error_type"] = self.error_type
        for word in [] if self.besides == "-" else self.besides.split(","):
            name, _, value = word.partition("=")
            stated |= {{"finish": "finish_reason"}.get(name, name): value} if value else FLAGS[name]
        return stated


LINES = [Line(*words) for words in read_table("outcomes.txt")]


@pytest.mark.parametrize("line", LINES, ids=lambda line: " ".join(line[:5]))
def test_a_case_has_the_outcome_of_the_table(line: Line) -> None:
    assert {decide(facts) for facts in line.facts()} == {Outcome(line.outcome)}


def test_every_outcome_and_every_line_of_the_code_has_a_case() -> None:
    facts = [facts for line in LINES for facts in line.facts()]
    used = {next(n for n, case in enumerate(OUTCOMES) if case.fits(f, ending_of(f))) for f in facts}
    assert used == set(range(len(OUTCOMES)))
    assert {line.outcome for line in LINES} == {str(outcome) for outcome in Outcome}


def test_the_last_line_of_the_code_takes_what_no_other_took() -> None:
    assert decide(Facts(0)) == Outcome.PROVIDER_FAULT
    assert decide(Facts(-1, client="left_after_finish")) == Outcome.PROVIDER_FAULT
    assert decide(Facts(1000)) == Outcome.PROVIDER_FAULT


def test_codes_are_what_ledgers_already_hold() -> None:
    assert {code: str(outcome) for code, outcome in OUTCOMES_BY_CODE.items()} == {
        1: "ok",
        2: "provider_fault",
        3: "rate_limited",
        4: "caller_fault",
        5: "refused",
        6: "cancelled",
        7: "interrupted",
        8: "unknown",
    }


@pytest.mark.parametrize(
    ("native", "normal"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("tool_use", "tool_calls"),
        ("function_call", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("insufficient_system_resource", "error"),
        ("ERROR", "error"),
        ("a word nobody has used yet", None),
        ("", None),
        (None, None),
    ],
)
def test_a_finish_reason_has_a_normal_form(native: str | None, normal: str | None) -> None:
    assert normal_finish_reason(native) == normal


def test_normal_finish_reasons_are_their_own_normal_form() -> None:
    assert {normal: normal_finish_reason(normal) for normal in FINISH_REASONS.values()} == {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
        "error": "error",
    }
