"""USAGE_PATHS: where each provider's usage object states what, and what lies inside what.

Each part is (meter, the meters inside which the provider counts it, path). A meter's own count is what is stated
minus all that lies inside it, so meters come out disjoint. Part "input" with cached tokens inside is OpenAI's and
Gemini's way; Anthropic and Bedrock state cached tokens beside it, so that nothing is inside.
"""

from typing import NamedTuple

PartRow = tuple[str, str, str]


class Shape(NamedTuple):
    """How to read one shape of usage object.

    `totals`: (path of a stated total, "in" | "out" | "all" | "side+side"), compared with the sum of the meters.
    `checks`: pairs of paths that must state the same number, where both do.
    `places`: where the usage object is, in an answer or in a stream's event.
    """

    parts: tuple[PartRow, ...]
    totals: tuple[tuple[str, str], ...] = ()
    checks: tuple[tuple[str, str], ...] = ()
    tier: tuple[str, ...] = ("service_tier",)
    cost: tuple[str, ...] = ("cost",)
    places: tuple[str, ...] = ("usage",)
    otherwise: str | None = None  # the shape to read by where this one's totals do not add up and that one's do
    cumulative: bool = False  # a stream states usage in pieces, later ones over earlier ones


_CHAT_IN: tuple[PartRow, ...] = (
    ("input", "", "prompt_tokens"),
    ("cache_read", "input", "prompt_tokens_details.cached_tokens | prompt_cache_hit_tokens | cached_tokens"),
    ("cache_write_5m", "input", "prompt_tokens_details.cache_write_tokens"),
    ("audio_in", "input", "prompt_tokens_details.audio_tokens"),
    ("image_in_tokens", "input", "prompt_tokens_details.image_tokens"),
    ("video_in", "input", "prompt_tokens_details.video_tokens"),
    ("cache_read_audio", "cache_read audio_in", "prompt_tokens_details.cached_tokens_details.audio_tokens"),
    ("cache_read_image", "cache_read image_in_tokens", "prompt_tokens_details.cached_tokens_details.image_tokens"),
)
_CHAT_OUT: tuple[PartRow, ...] = (
    ("output", "", "completion_tokens"),
    ("reasoning", "output", "completion_tokens_details.reasoning_tokens"),
    ("audio_out", "output", "completion_tokens_details.audio_tokens"),
    ("image_out_tokens", "output", "completion_tokens_details.image_tokens"),
)
_CHAT_TOTALS = (("prompt_tokens", "in"), ("completion_tokens", "out"), ("total_tokens", "all"))

USAGE_PATHS: dict[str, Shape] = {
    "openai.chat": Shape(parts=_CHAT_IN + _CHAT_OUT, totals=_CHAT_TOTALS),
}
