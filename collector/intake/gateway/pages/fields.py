"""FIELDS: every member of a request that is documented, by operation.

What the gateway itself reads is said so; everything else, members that nobody knows too, goes on to the provider as it
was sent. Types are JSON Schema.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Json = dict[str, Any]


class Field(NamedTuple):
    """What a member is."""

    what: str
    schema: Json
    is_read: bool = False  # by the gateway


_TEXT: Json = {"type": ["string", "null"]}
_FLAG: Json = {"type": ["boolean", "null"]}
_WHOLE: Json = {"type": ["integer", "null"]}
_NUMBER: Json = {"type": ["number", "null"]}
_OBJECT: Json = {"type": ["object", "null"]}
_LIST: Json = {"type": ["array", "null"]}
_OBJECTS: Json = {"type": "array", "items": {"type": "object"}}
_SEVERAL: Json = {"type": ["object", "array", "null"]}
_NAMES: Json = {"type": ["array", "null"], "items": {"type": "string"}}

_SHARED: dict[str, Field] = {
    "model": Field(
        "The model. A suffix `:nitro` (fastest), `:floor` (cheapest) or `:exacto` (who lists `tools` first) routes.",
        {"type": "string"},
        True,
    ),
    "models": Field("Models to try in this order when one fails.", _NAMES, True),
    "provider": Field("Which endpoints may be used, and in what order.", _OBJECT, True),
    "route": Field("OpenRouter's older word for trying `models`; it goes to OpenRouter only.", _TEXT, True),
    "stream": Field("Answer as server-sent events.", _FLAG, True),
    "stream_options": Field("`include_usage`: tell the usage at a stream's end.", _OBJECT, True),
    "user": Field("Whom the call is attributed to in the books.", _TEXT, True),
    "session_id": Field("Groups calls, and keeps them at one provider for its prompt cache.", _TEXT, True),
    "usage": Field("OpenRouter's `{include: true}`.", _OBJECT),
    "background": Field("Answer later.", _FLAG),
    "cache_control": Field("Cache the prompt.", _OBJECT),
    "context_management": Field("What becomes of a context that grows too long.", _SEVERAL),
    "debug": Field("Tell what became of the request.", _OBJECT),
    "frequency_penalty": Field("From -2 to 2.", _NUMBER),
    "image_config": Field("How pictures are made.", _OBJECT),
    "include": Field("What else to answer.", _NAMES),
    "logit_bias": Field("Token id -> bias.", _OBJECT),
    "max_tool_calls": Field("The most tool calls.", _WHOLE),
    "metadata": Field("Free labels.", _OBJECT),
    "min_p": Field("Least probability, of the likeliest token's.", _NUMBER),
    "modalities": Field("What to answer with: text, image, audio.", _NAMES),
    "moderation": Field("How the request is moderated.", _OBJECT),
    "n": Field("How many choices.", _WHOLE),
    "parallel_tool_calls": Field("Several tool calls at once.", _FLAG),
    "plugins": Field("OpenRouter's plugins.", _OBJECTS),
    "prediction": Field("Text that the answer will mostly repeat.", _OBJECT),
    "presence_penalty": Field("From -2 to 2.", _NUMBER),
    "prompt_cache_key": Field("Groups requests that share a prompt.", _TEXT),
    "prompt_cache_options": Field("How the prompt is cached.", _OBJECT),
    "prompt_cache_retention": Field("How long the prompt stays cached.", _TEXT),
    "reasoning": Field("How much the model reasons: `effort`, `max_tokens`, `exclude`.", _OBJECT),
    "reasoning_effort": Field("`reasoning.effort` alone.", _TEXT),
    "repetition_penalty": Field("1 is none.", _NUMBER),
    "safety_identifier": Field("A stable, anonymous name of the end user, for the provider.", _TEXT),
    "seed": Field("Makes answers repeatable, where a provider can.", _WHOLE),
    "service_tier": Field("The tier to be served at; the tier that was served is charged.", _TEXT),
    "speed": Field("Anthropic's fast mode.", _TEXT),
    "stop": Field("Texts that end the answer.", {"type": ["string", "array", "null"]}),
    "stop_server_tools_when": Field("What ends the loop of server tools.", _LIST),
    "store": Field("Whether the provider keeps the answer.", _FLAG),
    "temperature": Field("From 0 to 2.", _NUMBER),
    "tool_choice": Field("auto, none, required, or one tool.", {"type": ["string", "object", "null"]}),
    "tools": Field("What the model may call.", _OBJECTS),
    "top_a": Field("Keep tokens of at least this share of the likeliest one's probability squared.", _NUMBER),
    "top_k": Field("Choose from so many tokens.", _WHOLE),
    "top_logprobs": Field("How many alternatives to tell for each token.", _WHOLE),
    "top_p": Field("Choose from tokens of so much probability together.", _NUMBER),
    "trace": Field("Labels for observability.", _OBJECT),
    "truncation": Field("Whether a context that is too long is cut.", _TEXT),
    "verbosity": Field("How long the answer is.", _TEXT),
}
_MESSAGES = Field(
    "The conversation. Pictures in its parts are counted.", {"type": "array", "items": {"type": "object"}}, True
)
_INPUT = Field("Text, or items. Pictures in their parts are counted.", {"type": ["string", "array"]}, True)
_ROUTING = ("model", "models", "provider", "route", "user", "session_id", "trace")


def _shared(names: str) -> dict[str, Field]:
    return {name: _SHARED[name] for name in (*_ROUTING, *names.split())}


FIELDS: dict[str, dict[str, Field]] = {
    "chat": {
        "messages": _MESSAGES,
        "response_format": Field("JSON mode, or a JSON Schema of the answer.", _OBJECT),
        "max_completion_tokens": Field("The most tokens of the answer, reasoning included.", _WHOLE, True),
        "max_tokens": Field("Likewise; the older word.", _WHOLE, True),
        "logprobs": Field("Tell the probabilities of the answer's tokens.", _FLAG),
        "audio": Field("How spoken answers sound.", _OBJECT),
        "function_call": Field("`tool_choice` of older clients.", {"type": ["string", "object", "null"]}),
        "functions": Field("`tools` of older clients.", _OBJECTS),
        "web_search_options": Field("How the web is searched.", _OBJECT),
        **_shared(
            "stream stream_options usage cache_control debug frequency_penalty image_config logit_bias metadata min_p"
            " modalities moderation n parallel_tool_calls plugins prediction presence_penalty prompt_cache_key"
            " prompt_cache_options prompt_cache_retention reasoning reasoning_effort repetition_penalty"
            " safety_identifier seed service_tier stop stop_server_tools_when store temperature tool_choice tools top_a"
            " top_k top_logprobs top_p verbosity"
        ),
    },
    "completions": {
        "prompt": Field("Text, or tokens, one or several.", {"type": ["string", "array"]}),
        "best_of": Field("Make so many and answer the best.", _WHOLE),
        "echo": Field("Answer the prompt too.", _FLAG),
        "logprobs": Field("How many alternatives to tell for each token.", _WHOLE),
        "max_tokens": Field("The most tokens of the answer.", _WHOLE, True),
        "suffix": Field("What follows the answer.", _TEXT),
        **_shared(
            "stream stream_options usage frequency_penalty logit_bias min_p n presence_penalty repetition_penalty seed"
            " stop temperature top_a top_k top_p"
        ),
    },
    "embeddings": {
        "input": _INPUT,
        "dimensions": Field("The length of the vectors.", _WHOLE),
        "encoding_format": Field("float or base64.", _TEXT),
        "input_type": Field("What the vectors are for.", _TEXT),
        **_shared(""),
    },
    "responses": {
        "input": _INPUT,
        "conversation": Field("The conversation that this belongs to.", {"type": ["string", "object", "null"]}),
        "instructions": Field("What comes before all input.", _TEXT),
        "max_output_tokens": Field("The most tokens of the answer, reasoning included.", _WHOLE, True),
        "previous_response_id": Field("The response that this one follows.", _TEXT),
        "prompt": Field("A prompt kept at the provider.", _OBJECT),
        "text": Field("The answer's format and verbosity.", _OBJECT),
        **_shared(
            "stream stream_options background cache_control context_management debug frequency_penalty image_config"
            " include max_tool_calls metadata modalities moderation parallel_tool_calls plugins presence_penalty"
            " prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier"
            " stop_server_tools_when store temperature tool_choice tools top_k top_logprobs top_p truncation"
        ),
    },
    "messages": {
        "messages": _MESSAGES,
        "max_tokens": Field("The most tokens of the answer.", {"type": "integer"}, True),
        "container": Field("The container of server tools.", {"type": ["string", "object", "null"]}),
        "fallbacks": Field("OpenRouter's models to try.", _LIST),
        "mcp_servers": Field("Servers of tools.", _OBJECTS),
        "metadata": Field("`user_id`: whom the call is attributed to in the books.", _OBJECT, True),
        "output_config": Field("Effort, and the format of the answer.", _OBJECT),
        "stop_sequences": Field("Texts that end the answer.", _NAMES),
        "system": Field("What comes before all messages.", {"type": ["string", "array"]}),
        "thinking": Field("How much the model thinks first.", _OBJECT),
        **_shared(
            "stream cache_control context_management plugins service_tier speed stop_server_tools_when temperature"
            " tool_choice tools top_k top_p"
        ),
    },
}
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "chat": ("messages",),
    "completions": ("prompt",),
    "embeddings": ("input",),
    "responses": ("input",),
    "messages": ("messages", "max_tokens"),
}
