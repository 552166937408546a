"""PAGES: every path that is read, with its handler, which is imported when it is first asked for."""

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module

import msgspec

from collector.intake.gateway.operations import SURFACES, Surface
from collector.intake.gateway.pages.served import JSON, Asked, Reply, Sources

Handler = Callable[[Sources, Asked], Reply]
ROOM = "collector.intake.gateway.pages."


class Page(msgspec.Struct, frozen=True):
    """`path`: `{name}` stands for one segment, `{name...}` for one or more. `handler`: module and function."""

    path: str
    handler: str
    what: str
    surface: Surface = SURFACES[0]
    kind: str = JSON

    @property
    def pattern(self) -> re.Pattern[str]:
        parts = re.split(r"(\{\w+(?:\.\.\.)?\})", self.path)
        return re.compile("".join(map(_group, parts)))


def _group(part: str) -> str:
    if not part.startswith("{"):
        return re.escape(part)
    name = part[1:-1]
    return f"(?P<{name[:-3]}>[^/].*)" if name.endswith("...") else f"(?P<{name}>[^/]+)"


# Below each surface's prefix; the first that fits.
_ON_SURFACES = (
    ("/models", "models:listed", "The models that can be routed."),
    ("/models/count", "models:count", "How many they are."),
    ("/models/{author}/{slug}/endpoints", "endpoints:of_model", "A model's endpoints: price, uptime, latency."),
    ("/models/{slug}/endpoints", "endpoints:of_model", "Likewise, of a model without an author."),
    ("/models/{model...}", "models:one", "One model."),
    ("/model/{author}/{slug}", "models:one", "One model."),
    ("/key", "key:current", "The key that is sent: its limit, what is left of it, what was spent."),
    ("/generation", "generation:one", "One call: tokens, cost, attempts."),
)
PAGES = (
    Page("/docs", "docs:page", "This documentation.", kind="text/html"),
    Page("/openapi.json", "openapi:page", "This documentation as OpenAPI 3.1."),
    Page("/metrics", "metrics:page", "What Prometheus reads.", kind="text/plain"),
    *(Page(surface.prefix + path, name, what, surface) for surface in SURFACES for path, name, what in _ON_SURFACES),
)
_PATTERNS = tuple((page.pattern, page) for page in PAGES)


def find(path: str) -> tuple[Page, dict[str, str]] | None:
    """The page of a path and the parts of it that vary."""
    for pattern, page in _PATTERNS:
        if match := pattern.fullmatch(path):
            return page, match.groupdict()
    return None


@lru_cache(maxsize=len(PAGES))
def handler_of(page: Page) -> Handler:
    """The function that makes a page."""
    module, _, function = page.handler.partition(":")
    found: Handler = getattr(import_module(ROOM + module), function)
    return found
