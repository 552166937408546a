"""DIALECTS: how each dialect's answers are read, what ends its streams, and how an error is told in it.

Chat and its older sibling end a stream with `[DONE]` (platform.openai.com, chat streaming). The events of OpenAI's
Responses and of Anthropic's Messages name their `type`, and one of them is the last (platform.openai.com, responses
streaming; docs.anthropic.com, streaming messages).
"""

from collections.abc import Callable

import msgspec

from collector.intake.gateway import answer, answer_messages, answer_responses, error_events
from collector.intake.gateway.answer import Seen

DONE = b"[DONE]"
_ERROR = b'"error"'
_NO_CHOICES = (b'"choices":[]', b'"choices": []')


class Dialect(msgspec.Struct, frozen=True):
    """One way to answer. `marks`: bytes that every event has which may have to be held back, and few others have."""

    marks: tuple[bytes, ...]
    is_end: Callable[[bytes], bool]  # whether an event's data is that of a stream's terminal event
    tells_error: Callable[[bytes], bool]  # whether it is an error in place of a part of the answer
    read_plain: Callable[[bytes, str], Seen]  # a body and the shape of its usage
    read_stream: Callable[[bytes, str], Seen]  # a run of events likewise
    error_event: error_events.ErrorEvent
    error_shape: str | None = None  # of error bodies; None: the surface's
    usage_on_demand: bool = False  # a stream states its usage where `stream_options` ask for it


def _is_done(data: bytes) -> bool:
    return data == DONE


def _read_chat_stream(events: bytes, shape: str) -> Seen:
    return answer.read_stream(events, shape, DONE)


CHAT = Dialect(
    marks=(DONE, _ERROR, *_NO_CHOICES),
    is_end=_is_done,
    tells_error=answer.tells_error,
    read_plain=answer.read_plain,
    read_stream=_read_chat_stream,
    error_event=error_events.chat,
    usage_on_demand=True,
)
COMPLETIONS = msgspec.structs.replace(CHAT, error_event=error_events.completions)
EMBEDDINGS = msgspec.structs.replace(CHAT, usage_on_demand=False)  # are never streamed
RESPONSES = Dialect(
    marks=(_ERROR, *answer_responses.END_TYPES),
    is_end=answer_responses.is_end,
    tells_error=answer_responses.tells_error,
    read_plain=answer_responses.read_plain,
    read_stream=answer_responses.read_stream,
    error_event=error_events.responses,
)
MESSAGES = Dialect(
    marks=(_ERROR, answer_messages.END_TYPE),
    is_end=answer_messages.is_end,
    tells_error=answer.tells_error,
    read_plain=answer_messages.read_plain,
    read_stream=answer_messages.read_stream,
    error_event=error_events.messages,
    error_shape="anthropic",
)
