"""EXAMPLES: a request for each use of each operation, as it can be sent."""

from typing import Any

Json = dict[str, Any]

_MODEL = "openai/gpt-4-turbo"
_PICTURE = "https://example.com/picture.png"
_ASK: list[Json] = [{"role": "user", "content": "How is the weather in Ulm?"}]
_CITY: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_TOOL: Json = {"name": "weather", "description": "The weather of a city."}


def _see(part: Json, text: str = "text") -> list[Json]:
    return [{"role": "user", "content": [{"type": text, "text": "What is this?"}, part]}]


# By operation, in the order in which they are shown.
EXAMPLES: dict[str, dict[str, Json]] = {
    "chat": {
        "text": {"model": _MODEL, "messages": _ASK},
        "vision": {
            "model": _MODEL,
            "messages": _see({"type": "image_url", "image_url": {"url": _PICTURE, "detail": "low"}}),
        },
        "JSON mode": {
            "model": _MODEL,
            "messages": [{"role": "user", "content": "Name a city, as JSON."}],
            "response_format": {"type": "json_object"},
        },
        "structured answer": {
            "model": _MODEL,
            "messages": [{"role": "user", "content": "Name a city."}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "c", "strict": True, "schema": _CITY}},
        },
        "tools": {
            "model": _MODEL,
            "messages": _ASK,
            "tools": [{"type": "function", "function": {**_TOOL, "parameters": _CITY}}],
            "tool_choice": "auto",
        },
        "streaming": {
            "model": _MODEL,
            "messages": _ASK,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "routing": {
            "model": _MODEL,
            "messages": _ASK,
            "provider": {"sort": "price", "max_price": {"prompt": 10, "completion": 30}, "data_collection": "deny"},
        },
    },
    "completions": {
        "text": {"model": _MODEL, "prompt": "The capital of France is", "max_tokens": 5},
        "streaming": {"model": _MODEL, "prompt": "The capital of France is", "stream": True},
    },
    "embeddings": {"text": {"model": "text-embedding-3-small", "input": ["one text", "another"]}},
    "responses": {
        "text": {"model": _MODEL, "input": "How is the weather in Ulm?"},
        "vision": {
            "model": _MODEL,
            "input": _see({"type": "input_image", "image_url": _PICTURE, "detail": "auto"}, "input_text"),
        },
        "JSON mode": {
            "model": _MODEL,
            "input": "Name a city, as JSON.",
            "text": {"format": {"type": "json_object"}},
        },
        "tools": {
            "model": _MODEL,
            "input": "How is the weather in Ulm?",
            "tools": [{"type": "function", **_TOOL, "parameters": _CITY, "strict": True}],
        },
        "streaming": {"model": _MODEL, "input": "How is the weather in Ulm?", "stream": True},
    },
    "messages": {
        "text": {"model": "claude-sonnet-4", "max_tokens": 256, "messages": _ASK},
        "vision": {
            "model": "claude-sonnet-4",
            "max_tokens": 256,
            "messages": _see({"type": "image", "source": {"type": "url", "url": _PICTURE}}),
        },
        "tools": {
            "model": "claude-sonnet-4",
            "max_tokens": 256,
            "messages": _ASK,
            "tools": [{**_TOOL, "input_schema": _CITY}],
        },
        "streaming": {"model": "claude-sonnet-4", "max_tokens": 256, "messages": _ASK, "stream": True},
    },
}
