"""Streamlit's scripts, styles and fonts, from memory: a browser that is new here asks for a hundred of them at once."""

from functools import cache
from importlib.util import find_spec
from mimetypes import guess_type
from pathlib import Path

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

FOREVER = "public, immutable, max-age=31536000"  # a digest of the content is in each name


@cache
def folder() -> Path:
    """Where Streamlit keeps its page and, below `static`, what the page asks for."""
    found = find_spec("streamlit")
    return Path(str(found and found.origin)).parent / "static"


class Assets:
    """Answers for these files, each in one piece; for all else the app does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._files = {f"/{path.relative_to(folder())}": _response(path) for path in folder().glob("static/*/*")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_read = scope["type"] == "http" and scope["method"] == "GET"
        answer = self._files.get(scope["path"], self._app) if is_read else self._app
        await answer(scope, receive, send)


def _response(path: Path) -> Response:
    return Response(path.read_bytes(), media_type=guess_type(path.name)[0], headers={"cache-control": FOREVER})
