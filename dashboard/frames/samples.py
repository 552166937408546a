"""How to ask a model through the gateway: code to copy, and what a request may hold."""

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

IMAGE = "https://example.com/photo.jpg"
_QUESTION = "What is in this image?"


def python_text(model: str, base_url: str) -> str:
    """With the official SDK."""
    return _python(model, base_url, '        {"role": "user", "content": "What is the meaning of life?"},')


def python_image(model: str, base_url: str) -> str:
    """The same with a picture in the prompt."""
    return _python(
        model,
        base_url,
        f"""        {{
            "role": "user",
            "content": [
                {{"type": "text", "text": "{_QUESTION}"}},
                {{"type": "image_url", "image_url": {{"url": "{IMAGE}"}}}},
            ],
        }},""",
    )


def _python(model: str, base_url: str, message: str) -> str:
    return f"""from openai import OpenAI

client = OpenAI(
    base_url={json.dumps(base_url)},
    api_key="YOUR_KEY",
    default_headers={{"HTTP-Referer": "https://your-site.example", "X-Title": "Your app"}},
)
answer = client.chat.completions.create(
    model={json.dumps(model)},
    messages=[
{message}
    ],
)
print(answer.choices[0].message.content)"""


def curl_text(model: str, base_url: str) -> str:
    """On the command line."""
    return _curl(base_url, {"model": model, "messages": [{"role": "user", "content": "What is the meaning of life?"}]})


def curl_image(model: str, base_url: str) -> str:
    """The same with a picture in the prompt."""
    parts = [{"type": "text", "text": _QUESTION}, {"type": "image_url", "image_url": {"url": IMAGE}}]
    return _curl(base_url, {"model": model, "messages": [{"role": "user", "content": parts}]})


def _curl(base_url: str, body: dict[str, Any]) -> str:
    quoted = json.dumps(body, indent=2).replace("'", "'\\''")
    return f"""curl {base_url}/chat/completions \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer $YOUR_KEY" \\
  -H "HTTP-Referer: https://your-site.example" \\
  -H "X-Title: Your app" \\
  -d '{quoted}'"""


# https://platform.openai.com/docs/api-reference/chat/create and, for routing, https://openrouter.ai/docs.
FIELDS = (
    ("model", "string", "the model's name, as on this page"),
    ("messages", "list", "the conversation: role, and content as text or as parts of type text and image_url"),
    ("models", "list of strings", "routing: models to try in order, from the second on when one fails"),
    ("provider", "object", "routing: order, only, ignore, allow_fallbacks and more, see the README"),
    ("stream", "true or false", "answer as server-sent events"),
    ("stream_options", "object", "include_usage: the stream's last event states its usage"),
    ("user", "string", "your name for the end user; calls are counted by it"),
    ("max_tokens", "integer", "the most tokens of the answer"),
    ("max_completion_tokens", "integer", "the same, reasoning included"),
    ("temperature", "number, 0 to 2", "how much chance decides"),
    ("top_p", "number, 0 to 1", "sample from the likeliest tokens of that share"),
    ("frequency_penalty", "number, -2 to 2", "makes repeated tokens less likely, more so the more often they came"),
    ("presence_penalty", "number, -2 to 2", "makes tokens less likely that came at all"),
    ("stop", "string or list", "texts at which the answer ends"),
    ("seed", "integer", "the same seed makes the same answer likelier"),
    ("response_format", "object", "json_object, or json_schema with a schema"),
    ("tools", "list", "functions that the model may call"),
    ("tool_choice", "string or object", "none, auto, required, or one function"),
    ("parallel_tool_calls", "true or false", "several calls in one answer"),
    ("logprobs", "true or false", "state the log probabilities of the tokens"),
    ("top_logprobs", "integer, 0 to 20", "for how many alternatives of each token"),
    ("logit_bias", "object", "token id to bias, -100 to 100"),
    ("reasoning_effort", "string", "low, medium or high, for models that reason"),
)
ALWAYS = frozenset({"model", "messages", "models", "provider", "stream", "stream_options", "user"})


def field_table(offers: Sequence[Any]) -> pd.DataFrame:
    """The fields of a request, and which providers read each, where any of them states it."""
    stated = {o.provider: o.endpoint.supported_parameters for o in offers if o.endpoint}
    stated = {name: parameters for name, parameters in stated.items() if parameters is not None}
    table = pd.DataFrame(FIELDS, columns=["Field", "Type", "Meaning"])
    return table.assign(**{READ_BY: [_read_by(name, stated) for name in table["Field"]]}) if stated else table


READ_BY = "Read by"


def fields_say(table: pd.DataFrame) -> str:
    """The sentence above the table."""
    known = "" if READ_BY in table else "; no provider here states which of them it reads"
    return f"Fields and parameters of POST /chat/completions{known}"


def _read_by(name: str, stated: dict[str, Any]) -> str:
    if name in ALWAYS:
        return "every provider"
    return ", ".join(provider for provider, parameters in stated.items() if name in parameters) or "none that states it"
