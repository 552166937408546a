"""Every real usage object we have, read and compared with what genai-prices read in it."""

from fractions import Fraction
from typing import Any

import pytest

from collector.core.meters import INPUT_TOKENS, OUTPUT_TOKENS
from collector.core.money import PICODOLLARS
from collector.core.usage import Reading, find_usage, read_usage
from tests.real_usages import RealUsage, place_of, places, read_table, real_usages

# Quantities of genai-prices, which lie inside each other, as sums of our disjoint meters.
QUANTITIES: dict[str, tuple[str, ...]] = {
    "input_tokens": INPUT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
    "cache_read_tokens": ("cache_read", "cache_read_audio", "cache_read_image", "cache_read_video"),
    "cache_write_tokens": ("cache_write_5m", "cache_write_1h"),
    "output_reasoning_tokens": ("reasoning",),
    "input_audio_tokens": ("audio_in", "cache_read_audio"),
    "input_image_tokens": ("image_in_tokens", "cache_read_image"),
    "input_video_tokens": ("video_in", "cache_read_video"),
    "cache_audio_read_tokens": ("cache_read_audio",),
    "cache_image_read_tokens": ("cache_read_image",),
    "cache_video_read_tokens": ("cache_read_video",),
    "output_audio_tokens": ("audio_out",),
    "output_image_tokens": ("image_out_tokens",),
    "web_searches": ("web_searches",),
}
# Quantities that genai-prices works out only where the answer splits them: compared where it does.
SPLIT_QUANTITIES: dict[str, tuple[str, ...]] = {
    "cache_write_5m_tokens": ("cache_write_5m",),
    "cache_write_1h_tokens": ("cache_write_1h",),
    "input_text_tokens": ("input", "cache_read", "cache_write_5m", "cache_write_1h"),
    "cache_text_read_tokens": ("cache_read",),
    "output_text_tokens": ("output",),
    "input_tool_tokens": (),
    "input_text_tool_tokens": (),
}


@pytest.fixture(scope="module")
def readings() -> list[tuple[RealUsage, Reading]]:
    return [(entry, read_usage(entry.place.shape, _usage(entry))) for entry in real_usages()]


def _usage(entry: RealUsage) -> dict[str, Any]:
    usage = find_usage(entry.place.shape, entry.body)
    assert usage is not None, entry.name
    return usage


def _differences(entry: RealUsage, meters: dict[str, int]) -> set[tuple[str, str, int, int]]:
    split = {name: of for name, of in SPLIT_QUANTITIES.items() if name in entry.usage}
    ours = {name: sum(meters.get(meter, 0) for meter in of) for name, of in (QUANTITIES | split).items()}
    theirs = dict.fromkeys(ours, 0) | entry.usage
    return {(entry.name, name, ours[name], theirs[name]) for name in theirs if ours[name] != theirs[name]}


def test_every_reading_is_that_of_genai_prices_but_for_the_listed_differences(
    readings: list[tuple[RealUsage, Reading]],
) -> None:
    listed = {
        (entry, quantity, int(ours), int(theirs))
        for entry, quantity, ours, theirs, *cause in read_table("real_usages_differences.txt")
        if cause
    }
    assert {found for entry, reading in readings for found in _differences(entry, reading.meters)} == listed


def test_every_real_usage_adds_up_but_for_the_listed_ones(readings: list[tuple[RealUsage, Reading]]) -> None:
    listed = {words[0]: " ".join(words[1:]) for words in read_table("real_usages_problems.txt")}
    assert {entry.name: reading.problem for entry, reading in readings if reading.problem} == listed


def test_every_reading_is_exact_and_of_known_meters(readings: list[tuple[RealUsage, Reading]]) -> None:
    assert len(readings) == 809
    assert {reading.quality for _, reading in readings} == {"exact"}
    assert min(n for _, reading in readings for n in reading.meters.values()) == 0


def test_the_cost_that_a_provider_reports_is_kept_to_the_last_digit(readings: list[tuple[RealUsage, Reading]]) -> None:
    stated = {entry.name: (_usage(entry), reading.reported_cost) for entry, reading in readings}
    assert {name: cost for name, (usage, cost) in stated.items() if "cost" not in usage and cost is not None} == {}
    costs = {name: (_charged(usage), cost) for name, (usage, cost) in stated.items() if "cost" in usage}
    assert len(costs) == 22
    assert {name: pair for name, pair in costs.items() if pair[0] != pair[1]} == {}


def _charged(usage: dict[str, Any]) -> Fraction:
    upstream = usage["cost_details"]["upstream_inference_cost"] if usage.get("is_byok") else 0
    return (Fraction(usage["cost"]) + Fraction(upstream)) * PICODOLLARS


def test_every_line_of_the_table_places_an_entry_first(readings: list[tuple[RealUsage, Reading]]) -> None:
    assert {entry.place for entry, _ in readings} == set(places())


def test_an_entry_that_no_line_places_is_an_error() -> None:
    with pytest.raises(LookupError, match=r"places new/recording.yaml with \['file', 'usage'\]"):
        place_of({"file": "new/recording.yaml", "usage": {"prompt_tokens": 1}}, places())
