"""What an answer of OpenAI's Responses says of a call; a stream's last event carries the whole of it.

platform.openai.com, Responses and its streaming events.
"""

import msgspec
from msgspec import Raw

from collector.intake.gateway.answer import Fault, Seen, fault_of, is_error
from collector.intake.gateway.following import EventFollower
from collector.intake.gateway.lenient import NULL, reader, usage_of

FAILED, ERROR = "response.failed", "error"
END_TYPES = (b"response.completed", b"response.incomplete")  # a failed one is an error
_ENDS = frozenset(each.decode() for each in END_TYPES)
_IMAGE, _CALLS = "image_generation_call", frozenset({"function_call", "custom_tool_call"})
# Of a web search's actions only `search` is charged (platform.openai.com, web search, output and citations).
_SEARCH, _CHARGED_ACTIONS = "web_search_call", frozenset({"", "search"})
_OF_TEXT = (".delta", ".done", ".added")
_SERVER_TOOLS = frozenset({"file_search_call", "code_interpreter_call"})


class _Action(msgspec.Struct):
    type: str = ""


class _Item(msgspec.Struct):
    type: str = ""
    action: _Action | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Response(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    service_tier: str | None = None
    error: Raw = NULL
    incomplete_details: _Incomplete | None = None
    output: list[_Item] | None = None
    usage: Raw = NULL


class _Event(msgspec.Struct):
    type: str = ""
    response: Raw = NULL
    error: Raw = NULL


_event = reader(_Event)
_response = reader(_Response)


def is_end(data: bytes) -> bool:
    """Whether this is the last event's data."""
    event = _event(data)
    return event is not None and event.type in _ENDS


def tells_error(data: bytes) -> bool:
    """Whether an event says that the response failed."""
    event = _event(data)
    return event is not None and (event.type in (FAILED, ERROR) or is_error(event.error))


def read_plain(body: bytes, shape: str) -> Seen:
    """What a whole answer says; `malformed` where it is not such an object."""
    seen = Seen(parts=1)
    response = _response(body)
    seen.malformed = response is None
    if response is not None:
        _add_response(seen, response, shape)
    seen.terminal = not seen.malformed
    return seen


class Follower(EventFollower):
    """Reads a stream as it passes."""

    __slots__ = ()

    def is_text(self, data: bytes) -> bool:
        seen, event = self.seen, _event(data)
        seen.parts += 1
        if event is None:
            seen.malformed = True
            return False
        seen.terminal = seen.terminal or event.type in _ENDS
        if response := _response(event.response):
            _add_response(seen, response, self._shape)
        if event.type == ERROR or is_error(event.error):
            seen.fault = fault_of(event.error if is_error(event.error) else Raw(data))
        elif event.type == FAILED:
            seen.fault = seen.fault or Fault(code="response_failed")
        return event.type.endswith(_OF_TEXT) and event.response is NULL and event.error is NULL


def _add_response(seen: Seen, response: _Response, shape: str) -> None:
    seen.origin_id = seen.origin_id or response.id
    seen.served_model = response.model or seen.served_model
    seen.service_tier = response.service_tier or seen.service_tier
    if is_error(response.error):
        seen.fault = fault_of(response.error)
    items = response.output or ()
    types = [item.type for item in items]
    seen.tool_calls = sum(each in _CALLS for each in types)
    seen.images_out = types.count(_IMAGE)
    seen.web_searches = sum(item.type == _SEARCH and _is_charged(item.action) for item in items)
    seen.server_tool_calls = sum(each in _SERVER_TOOLS for each in types)
    _add_finish(seen, response)
    seen.usage = usage_of(shape, response.usage) or seen.usage


def _is_charged(action: _Action | None) -> bool:
    return action is None or action.type in _CHARGED_ACTIONS


def _add_finish(seen: Seen, response: _Response) -> None:
    """`status` says how it ended, `incomplete_details` why before its time; one that is under way has not ended."""
    if response.status in (None, "in_progress", "queued"):
        return
    why = response.incomplete_details.reason if response.incomplete_details else None
    seen.native_finish_reason = why or response.status
    seen.finish_reason = "tool_calls" if seen.tool_calls and response.status == "completed" else why or response.status
