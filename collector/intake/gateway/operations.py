"""OPERATIONS: what a client can ask for, and SURFACES: the prefixes under which it can be asked."""

import msgspec

from collector.intake.gateway.dialects import CHAT, COMPLETIONS, EMBEDDINGS, MESSAGES, RESPONSES, Dialect


class Operation(msgspec.Struct, frozen=True):
    """One kind of request. `kinds` are the upstreams that speak it; nothing is translated between dialects."""

    name: str
    path: str  # below the surface's prefix, and below a provider's base_url
    usage_shape: str  # of USAGE_PATHS
    dialect: Dialect
    kinds: tuple[str, ...]
    parts_in: str | None = None  # the member of the request whose items may hold pictures
    is_list: bool = False  # and it has to be a list of objects
    user_in: tuple[str, str] | None = None  # where the user stands when `user` does not name one
    can_stream: bool = True
    query: tuple[str, ...] = ()  # pairs of the query that go on; any other could name a key


class Surface(msgspec.Struct, frozen=True):
    """A prefix and what answers under it look like. `built_in` are its providers where none is configured."""

    prefix: str
    error_shape: str
    built_in: tuple[str, ...]
    keeps_usage: bool  # a stream's usage goes to the client even when it was not asked for

    @property
    def is_openrouter(self) -> bool:
        """Whether it is OpenRouter's dialect that is spoken here."""
        return self.error_shape == "openrouter"


_OPENAI = ("openai", "openrouter")
OPERATIONS = (
    Operation("chat", "/chat/completions", "openai.chat", CHAT, _OPENAI, parts_in="messages", is_list=True),
    Operation("completions", "/completions", "openai.chat", COMPLETIONS, _OPENAI),
    Operation(
        "embeddings", "/embeddings", "openai.embeddings", EMBEDDINGS, _OPENAI, parts_in="input", can_stream=False
    ),
    Operation("responses", "/responses", "openai.responses", RESPONSES, _OPENAI, parts_in="input"),
    Operation(
        name="messages",
        path="/messages",
        usage_shape="anthropic",
        dialect=MESSAGES,
        kinds=("anthropic", "openrouter"),
        parts_in="messages",
        is_list=True,
        user_in=("metadata", "user_id"),
        query=("beta=true",),
    ),
)

SURFACES = (
    Surface("/v1", error_shape="openai", built_in=("openai", "anthropic"), keeps_usage=False),
    Surface("/api/v1", error_shape="openrouter", built_in=("openrouter",), keeps_usage=True),
)

BY_PATH = {surface.prefix + operation.path: (surface, operation) for surface in SURFACES for operation in OPERATIONS}


def surface_of(path: str) -> Surface:
    """The surface whose prefix a path has; the first one, in whose shape errors are then told, for any other path."""
    return next((surface for surface in SURFACES if path.startswith(surface.prefix + "/")), SURFACES[0])


# Statuses that OpenRouter does not document of an operation ("": of any), and what is told in their place.
_TOLD_AS = {
    ("", 415): 400,
    ("", 431): 400,
    ("embeddings", 422): 400,
    ("messages", 413): 400,
    ("messages", 422): 400,
}


def status_told(surface: Surface, operation: Operation | None, status: int) -> int:
    """The status under which an error is told: under OpenRouter's surface one that OpenRouter documents."""
    if not surface.is_openrouter:
        return status
    name = operation.name if operation else ""
    return _TOLD_AS.get((name, status)) or _TOLD_AS.get(("", status), status)


def error_shape_of(surface: Surface, operation: Operation | None) -> str:
    """The shape in which errors of an operation are told: its dialect's own, else the surface's."""
    return (operation.dialect.error_shape if operation else None) or surface.error_shape
