"""USAGE_PATHS: where each provider's usage object states what, and what lies inside what.

Each part is (meter, the meters inside which the provider counts it, path). A meter's own count is what is stated
minus all that lies inside it, so meters come out disjoint. Cached tokens are inside the prompt count at OpenAI and
Gemini, beside it at Anthropic and Bedrock. What a path may look like stands in `paths`.
"""

from functools import lru_cache
from typing import NamedTuple

PartRow = tuple[str, str, str]


class Shape(NamedTuple):
    """How to read one shape of usage object; every path is relative to it, but those of `places`."""

    parts: tuple[PartRow, ...]  # a whole before what lies inside it
    totals: tuple[tuple[str, str], ...] = ()  # path of a stated total, and the meters it covers: "in", "out", "all"
    checks: tuple[tuple[str, str], ...] = ()  # paths that must state the same number where both do
    apart: tuple[str, ...] = ()  # paths of tokens of another model, which no meter of this call holds
    tier: tuple[str, ...] = ("service_tier",)  # in the usage object or in the answer around it
    region: str | None = None  # path of where it was inferred, where that has prices of its own
    places: tuple[str, ...] = ("usage", "response.usage")  # of the usage object in an answer or a stream's event
    otherwise: str | None = None  # the shape to read by where this one leaves a problem and that one leaves none
    in_pieces: bool = False  # a stream states usage in cumulative pieces, to be laid over each other


# DeepSeek's and Moonshot's own words for cached tokens are read in every chat answer, since such a provider is often
# reached as a plain OpenAI-shaped one. Mistral's num_cached_tokens is not: it counts what its servers had at hand,
# where prompt_tokens_details.cached_tokens is what it bills as cached (docs.mistral.ai, prompt caching).
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

# xAI counts reasoning beside completion_tokens and inside total_tokens (docs.x.ai, consumption and rate limits).
_REASONING_BESIDE: tuple[PartRow, ...] = (
    ("output", "", "completion_tokens"),
    ("reasoning", "", "completion_tokens_details.reasoning_tokens"),
    *_CHAT_OUT[2:],
)
# Google's OpenAI-shaped endpoint counts thoughts in total_tokens alone.
_REASONING_IN_TOTAL: tuple[PartRow, ...] = (
    ("output", "", "completion_tokens"),
    (
        "reasoning",
        "",
        "completion_tokens_details.reasoning_tokens | total_tokens - prompt_tokens - completion_tokens",
    ),
    *_CHAT_OUT[2:],
)
_BESIDE_TOTALS = (("prompt_tokens", "in"), ("total_tokens", "all"))
_XAI_TOOLS: tuple[PartRow, ...] = (
    (
        "web_searches",
        "",
        "server_side_tool_usage_details.web_search_calls + server_side_tool_usage_details.x_search_calls",
    ),
    (
        "server_tool_calls",
        "",
        "server_side_tool_usage_details.code_interpreter_calls + server_side_tool_usage_details.file_search_calls"
        " + server_side_tool_usage_details.document_search_calls + server_side_tool_usage_details.mcp_calls",
    ),
)

# A search that OpenRouter ran for the model is among the executed tool calls too, one that the provider ran is not.
_OPENROUTER_TOOLS: tuple[PartRow, ...] = (
    ("web_searches", "", "server_tool_use_details.web_search_requests | server_tool_use.web_search_requests"),
    (
        "server_tool_calls",
        "",
        "server_tool_use_details.tool_calls_executed - server_tool_use_details.web_search_requests"
        " | server_tool_use.tool_calls_executed - server_tool_use.web_search_requests",
    ),
)

_RESPONSES: tuple[PartRow, ...] = (
    ("input", "", "input_tokens"),
    ("cache_read", "input", "input_tokens_details.cached_tokens"),
    ("cache_write_5m", "input", "input_tokens_details.cache_write_tokens"),
    ("audio_in", "input", "input_tokens_details.audio_tokens"),
    ("image_in_tokens", "input", "input_tokens_details.image_tokens"),
    ("output", "", "output_tokens"),
    ("reasoning", "output", "output_tokens_details.reasoning_tokens"),
    ("audio_out", "output", "output_tokens_details.audio_tokens"),
    ("image_out_tokens", "output", "output_tokens_details.image_tokens"),
)
_RESPONSES_TOTALS = (("input_tokens", "in"), ("output_tokens", "out"), ("total_tokens", "all"))

# Of a picture model's output everything that is not stated as text is picture.
_IMAGES: tuple[PartRow, ...] = (
    ("input", "", "input_tokens"),
    ("image_in_tokens", "input", "input_tokens_details.image_tokens"),
    ("cache_read", "input", "input_tokens_details.cached_tokens"),
    ("output", "", "output_tokens"),
    (
        "image_out_tokens",
        "output",
        "output_tokens_details.image_tokens | output_tokens - output_tokens_details.text_tokens",
    ),
)

# A compaction is billed at this model's price and left out of the top-level counts; an advisor's tokens are another
# model's (Anthropic, Messages API, usage.iterations). The aggregate of cache writes is 5-minute where it is not split.
_ANTHROPIC: tuple[PartRow, ...] = (
    ("input", "", "input_tokens + iterations[type=compaction].input_tokens"),
    ("cache_read", "", "cache_read_input_tokens + iterations[type=compaction].cache_read_input_tokens"),
    (
        "cache_write_5m",
        "",
        "cache_creation_input_tokens + iterations[type=compaction].cache_creation_input_tokens"
        " | cache_creation.ephemeral_5m_input_tokens + cache_creation.ephemeral_1h_input_tokens",
    ),
    (
        "cache_write_1h",
        "cache_write_5m",
        "cache_creation.ephemeral_1h_input_tokens"
        " + iterations[type=compaction].cache_creation.ephemeral_1h_input_tokens",
    ),
    ("output", "", "output_tokens + iterations[type=compaction].output_tokens"),
    ("reasoning", "output", "output_tokens_details.thinking_tokens"),
    ("web_searches", "", "server_tool_use.web_search_requests"),
    ("server_tool_calls", "", "server_tool_use.web_fetch_requests"),
)

_BEDROCK: tuple[PartRow, ...] = (
    ("input", "", "inputTokens"),
    ("cache_read", "", "cacheReadInputTokens | cacheReadInputTokenCount"),
    ("cache_write_5m", "", "cacheWriteInputTokens | cacheWriteInputTokenCount"),
    ("cache_write_1h", "cache_write_5m", "cacheDetails[ttl=1h].inputTokens"),
    ("output", "", "outputTokens"),
)

# Gemini states thoughts and tool use beside, cached tokens and modalities inside. A document is priced as images.
# Searches of its grounding are in no usage object (how many are billed depends on the model): they are not metered.
_GEMINI: tuple[PartRow, ...] = (
    ("input", "", "promptTokenCount + toolUsePromptTokenCount"),
    ("cache_read", "input", "cachedContentTokenCount"),
    (
        "audio_in",
        "input",
        "promptTokensDetails[modality=AUDIO].tokenCount + toolUsePromptTokensDetails[modality=AUDIO].tokenCount",
    ),
    (
        "image_in_tokens",
        "input",
        "promptTokensDetails[modality=IMAGE,DOCUMENT].tokenCount"
        " + toolUsePromptTokensDetails[modality=IMAGE,DOCUMENT].tokenCount",
    ),
    (
        "video_in",
        "input",
        "promptTokensDetails[modality=VIDEO].tokenCount + toolUsePromptTokensDetails[modality=VIDEO].tokenCount",
    ),
    ("cache_read_audio", "cache_read audio_in", "cacheTokensDetails[modality=AUDIO].tokenCount"),
    ("cache_read_image", "cache_read image_in_tokens", "cacheTokensDetails[modality=IMAGE,DOCUMENT].tokenCount"),
    ("cache_read_video", "cache_read video_in", "cacheTokensDetails[modality=VIDEO].tokenCount"),
    ("output", "", "candidatesTokenCount | responseTokenCount"),
    ("reasoning", "", "thoughtsTokenCount"),
    (
        "audio_out",
        "output",
        "candidatesTokensDetails[modality=AUDIO].tokenCount | responseTokensDetails[modality=AUDIO].tokenCount",
    ),
    (
        "image_out_tokens",
        "output",
        "candidatesTokensDetails[modality=IMAGE].tokenCount | responseTokensDetails[modality=IMAGE].tokenCount",
    ),
)

# Billed units are what Cohere charges; `tokens` also counts its own prompt around the caller's, and cached_tokens are
# part of those. The counts of `tokens` are read only where nothing billed is stated.
_COHERE: tuple[PartRow, ...] = (
    ("input", "", "billed_units.input_tokens | tokens.input_tokens"),
    ("image_in_tokens", "", "billed_units.image_tokens"),
    ("images_in", "", "billed_units.images"),
    ("output", "", "billed_units.output_tokens | tokens.output_tokens"),
)

_CHAT = Shape(_CHAT_IN + _CHAT_OUT, _CHAT_TOTALS, otherwise="xai")
_DEEPSEEK_SPLIT = (("prompt_tokens", "prompt_cache_hit_tokens + prompt_cache_miss_tokens"),)
_CACHE_SPLIT = (
    (
        "cache_creation_input_tokens",
        "cache_creation.ephemeral_5m_input_tokens + cache_creation.ephemeral_1h_input_tokens",
    ),
)

USAGE_PATHS: dict[str, Shape] = {
    "openai.chat": _CHAT,
    "openai.responses": Shape(_RESPONSES, _RESPONSES_TOTALS, tier=("service_tier", "response.service_tier")),
    "openai.embeddings": Shape((("input", "", "prompt_tokens | input_tokens | total_tokens"), *_CHAT_IN[1:])),
    "openai.images": Shape(_IMAGES, _RESPONSES_TOTALS),
    "azure": _CHAT,
    "mistral": _CHAT,
    "groq": _CHAT._replace(places=("usage", "x_groq.usage")),
    "deepseek": _CHAT._replace(checks=_DEEPSEEK_SPLIT, otherwise=None),
    "xai": Shape(_CHAT_IN + _REASONING_BESIDE + _XAI_TOOLS, _BESIDE_TOTALS, otherwise="xai.inside"),
    "xai.inside": Shape(_CHAT_IN + _CHAT_OUT + _XAI_TOOLS, _CHAT_TOTALS),
    "xai.responses": Shape(_RESPONSES + _XAI_TOOLS, _RESPONSES_TOTALS),
    "openrouter": Shape(_CHAT_IN + _CHAT_OUT + _OPENROUTER_TOOLS, _CHAT_TOTALS),
    "openrouter.responses": Shape(_RESPONSES + _OPENROUTER_TOOLS, _RESPONSES_TOTALS),
    "anthropic": Shape(
        _ANTHROPIC,
        checks=_CACHE_SPLIT,
        tier=("speed", "service_tier"),  # fast mode has prices of its own
        region="inference_geo",  # and so has a region (platform.claude.com, data residency)
        apart=("iterations[type=advisor_message].input_tokens + iterations[type=advisor_message].output_tokens",),
        places=("usage", "message.usage"),
        in_pieces=True,
    ),
    "gemini": Shape(
        _GEMINI, (("totalTokenCount", "all"),), tier=("serviceTier", "trafficType"), places=("usageMetadata",)
    ),
    "gemini.openai": Shape(_CHAT_IN + _REASONING_IN_TOTAL, _BESIDE_TOTALS, otherwise="openai.chat"),
    "bedrock": Shape(
        _BEDROCK,
        (("totalTokens", "all"),),
        checks=(("cacheWriteInputTokens", "cacheDetails[ttl=5m,1h].inputTokens"),),
        tier=("serviceTier.type",),
        places=("usage", "metadata.usage"),
    ),
    "cohere": Shape(_COHERE, places=("usage", "delta.usage", "meta", "delta.meta")),
}

# Providers whose answers to an OpenAI-shaped operation state usage in a way of their own: (kind or name, shape).
OWN_SHAPES: dict[tuple[str, str], str] = {
    ("deepseek", "openai.chat"): "deepseek",
    ("gemini", "openai.chat"): "gemini.openai",
    ("google", "openai.chat"): "gemini.openai",
    ("groq", "openai.chat"): "groq",
    ("openrouter", "openai.chat"): "openrouter",
    ("openrouter", "openai.responses"): "openrouter.responses",
    ("x-ai", "openai.chat"): "xai",
    ("x-ai", "openai.responses"): "xai.responses",
    ("xai", "openai.chat"): "xai",
    ("xai", "openai.responses"): "xai.responses",
}


@lru_cache(maxsize=1024)
def shape_for(shape: str, *names: str | None) -> str:
    """The shape of an operation's usage at one provider, by what it is called: its kind first, then its name.

    `shape_for("openai.chat", "openai", "xai")` is "xai"; a provider without a way of its own keeps the operation's.
    """
    keys = ((name.lower(), shape) for name in names if name)
    return next((OWN_SHAPES[key] for key in keys if key in OWN_SHAPES), shape)
