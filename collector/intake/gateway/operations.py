"""OPERATIONS: what a client can ask for, and SURFACES: the two dialects it can be asked in."""

import msgspec


class Operation(msgspec.Struct, frozen=True):
    """One kind of request. `kinds` are the upstreams that speak it; nothing is translated between dialects."""

    name: str
    path: str  # below the surface's prefix, and below a provider's base_url
    usage_shape: str  # of USAGE_PATHS
    kinds: tuple[str, ...]
    parts_in: str  # the member of the request that holds messages with content parts
    done: bytes  # the data of a stream's terminal event


class Surface(msgspec.Struct, frozen=True):
    """A prefix and what answers under it look like. `built_in` is its provider where none is configured."""

    prefix: str
    error_shape: str
    built_in: str
    keeps_usage: bool  # a stream's usage goes to the client even when it was not asked for
    names_provider: bool  # answers carry `provider` in their JSON


OPERATIONS = (
    Operation(
        name="chat",
        path="/chat/completions",
        usage_shape="openai.chat",
        kinds=("openai", "openrouter"),
        parts_in="messages",
        done=b"[DONE]",
    ),
)

SURFACES = (
    Surface("/v1", error_shape="openai", built_in="openai", keeps_usage=False, names_provider=False),
    Surface("/api/v1", error_shape="openrouter", built_in="openrouter", keeps_usage=True, names_provider=True),
)

BY_PATH = {surface.prefix + operation.path: (surface, operation) for surface in SURFACES for operation in OPERATIONS}
MODELS_PATHS = {surface.prefix + "/models": surface for surface in SURFACES}


def surface_of(path: str) -> Surface:
    """The surface whose prefix a path has; the first one, in whose shape errors are then told, for any other path."""
    return next((surface for surface in SURFACES if path.startswith(surface.prefix + "/")), SURFACES[0])
