"""DIALECTS: how each dialect's answers are read, what ends its streams, and how an error is told in it.

Chat and its older sibling end a stream with `[DONE]` (platform.openai.com, chat streaming). The events of OpenAI's
Responses and of Anthropic's Messages name their `type`, and one of them is the last (platform.openai.com, responses
streaming; docs.anthropic.com, streaming messages).
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from collector.intake.gateway import answer, answer_messages, answer_responses, error_events
from collector.intake.gateway.answer import Seen
from collector.intake.gateway.sse import DONE


class Follower(Protocol):
    """Reads the events of a stream as they pass. `seen` is what it has said up to now."""

    seen: Seen

    def follow(self, data: list[bytes]) -> list[int]:
        """Read the data of the next events. Gives the places of those that are, or may be, more than text.

        Among them are the one that ends the stream, and all that may have to be held back.
        """


class Dialect(msgspec.Struct, frozen=True):
    """One way to answer."""

    is_end: Callable[[bytes], bool]  # whether an event's data is that of a stream's terminal event
    tells_error: Callable[[bytes], bool]  # whether it is an error in place of a part of the answer
    read_plain: Callable[[bytes, str], Seen]  # a body and the shape of its usage
    follower: Callable[[str], Follower]  # of a stream, for a shape of its usage
    error_event: error_events.ErrorEvent
    error_shape: str | None = None  # of error bodies; None: the surface's
    usage_on_demand: bool = False  # a stream states its usage where `stream_options` ask for it


def _is_done(data: bytes) -> bool:
    return data == DONE


CHAT = Dialect(
    is_end=_is_done,
    tells_error=answer.tells_error,
    read_plain=answer.read_plain,
    follower=answer.Follower,
    error_event=error_events.chat,
    usage_on_demand=True,
)
COMPLETIONS = msgspec.structs.replace(CHAT, error_event=error_events.completions)
EMBEDDINGS = msgspec.structs.replace(CHAT, usage_on_demand=False)  # are never streamed
RESPONSES = Dialect(
    is_end=answer_responses.is_end,
    tells_error=answer_responses.tells_error,
    read_plain=answer_responses.read_plain,
    follower=answer_responses.Follower,
    error_event=error_events.responses,
)
MESSAGES = Dialect(
    is_end=answer_messages.is_end,
    tells_error=answer.tells_error,
    read_plain=answer_messages.read_plain,
    follower=answer_messages.Follower,
    error_event=error_events.messages,
    error_shape="anthropic",
)
