"""What a request needs of an endpoint: room for its prompt and its answer, modalities, parameters; pure."""

import re
from collections.abc import Set

import msgspec
from msgspec import Raw

from collector.intake.gateway.asked import Asked

# Nobody's tokens have fewer bytes than this on average over a request, or more than that: prose has about 4, code 3,
# text of other scripts 2 to 5 (openai.com/tokenizer; escapes and JSON around them only add bytes).
BYTES_PER_TOKEN_LEAST, BYTES_PER_TOKEN_MOST = 3, 6
# Members that say what is asked, not how: no endpoint lists them as supported parameters.
_STRUCTURE = frozenset(
    {"model", "models", "messages", "prompt", "input", "system", "instructions", "stream", "stream_options"}
    | {"provider", "route", "transforms", "plugins", "usage", "trace"}
    | {"user", "session_id", "metadata", "store", "prompt_cache_key", "safety_identifier"}
)
_SAME = {"max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens"}
_OUTPUT_BOUNDS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
# An inline file: a data: URL, or the base64 of an input_audio part. It is metered as what it holds, not by its length.
_INLINE = re.compile(rb'"data(?:"\s*:\s*"|:[\w.+-]+\\?/[\w.+-]+(?:;[\w=.+-]+)*;base64,)[A-Za-z0-9+/=\\]{64,}"')
_PART = re.compile(rb'"type"\s*:\s*"(input_audio|file|input_file|video_url|input_video)"')
_MODALITIES = {"input_audio": "audio", "file": "file", "input_file": "file", "video_url": "video"} | {
    "input_video": "video"
}
_whole_number = msgspec.json.Decoder(int).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_SEVERAL = re.compile(rb'\[\s*["\[]')


class Need(msgspec.Struct, frozen=True):
    """`least_tokens` and `most_tokens` bound the prompt, estimated from its bytes; `max_tokens` each of the answers.

    `choices` are the answers that are paid for. `writes_cache`: the prompt may be kept in a cache, at a price.
    """

    least_tokens: int = 0
    most_tokens: int = 0
    max_tokens: int | None = None
    choices: int = 1
    images: int = 0
    writes_cache: bool = False
    modalities: Set[str] = frozenset()  # beside text
    parameters: Set[str] = frozenset()


def need_of(asked: Asked) -> Need:
    """What a request needs."""
    length = len(asked.body) - _inline_bytes(asked.body)
    found = {_MODALITIES[part.decode()] for part in _PART.findall(asked.body)} if _may_hold_files(asked.body) else set()
    return Need(
        least_tokens=length // BYTES_PER_TOKEN_MOST,
        most_tokens=-(-length // BYTES_PER_TOKEN_LEAST),
        max_tokens=_max_tokens(asked),
        choices=_choices(asked),
        images=asked.images,
        writes_cache=b'"cache_control"' in asked.body,
        modalities=frozenset(found | {"image"} if asked.images else found),
        parameters=frozenset([_SAME.get(name, name) for name in asked.members if name not in _STRUCTURE]),
    )


def _inline_bytes(body: bytes) -> int:
    if len(body) < 256:
        return 0
    return sum([found.end() - found.start() for found in _INLINE.finditer(body)])


def _may_hold_files(body: bytes) -> bool:
    return b"input_" in body or b"file" in body or b"video" in body


def _choices(asked: Asked) -> int:
    """Those of one prompt, or all that the best of them are chosen from; of each prompt of a list (completions)."""
    members = asked.members
    return max(_count(members.get("n")), _count(members.get("best_of"))) * _prompts(members.get("prompt"))


def _count(stated: Raw | None) -> int:
    try:
        return max(1, _whole_number(stated)) if stated is not None else 1
    except (msgspec.MsgspecError, ValueError):
        return 1


def _prompts(stated: Raw | None) -> int:
    """How many prompts there are: texts, or lists of tokens; a list of numbers is one."""
    try:
        return len(_items(stated)) if stated is not None and _SEVERAL.match(memoryview(stated)) else 1
    except (msgspec.MsgspecError, ValueError):
        return 1


def _max_tokens(asked: Asked) -> int | None:
    """The largest answer that is asked for; what is no whole number above 0 is left to the upstream to judge."""
    members, most = asked.members, 0
    try:
        for name in _OUTPUT_BOUNDS:
            if name in members:
                most = max(most, _whole_number(members[name]))
    except (msgspec.MsgspecError, ValueError):
        return None
    return most or None
