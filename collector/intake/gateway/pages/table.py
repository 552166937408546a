"""PAGES: every path that is read, with its handler, which is imported when it is first asked for."""

import re
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module

import msgspec

from collector.intake.gateway.operations import SURFACES, Surface
from collector.intake.gateway.pages.served import Asked, Reply, Sources

Handler = Callable[[Sources, Asked], Reply]
_ROOM = "collector.intake.gateway.pages."


class Page(msgspec.Struct, frozen=True):
    """`path`: `{name}` stands for one segment, `{name...}` for one or more. `handler`: module and function."""

    path: str
    handler: str
    surface: Surface = SURFACES[0]

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
    ("/models", "models:listed"),
    ("/models/count", "models:count"),
    ("/models/{author}/{slug}/endpoints", "endpoints:of_model"),
    ("/models/{slug}/endpoints", "endpoints:of_model"),
    ("/models/{model...}", "models:one"),
    ("/model/{author}/{slug}", "models:one"),
    ("/generation", "generation:one"),
)
PAGES = (
    Page("/metrics", "metrics:page"),
    *(Page(surface.prefix + path, handler, surface) for surface in SURFACES for path, handler in _ON_SURFACES),
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
    found: Handler = getattr(import_module(_ROOM + module), function)
    return found
