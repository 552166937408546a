"""The HTML that every page begins with: Streamlit's own, told where its server is and what the first chart needs."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dashboard.assets import folder

_JS = "static/js"
_SHOWN = ("ButtonGroup", "Selectbox", "Metric", "Html", "PageLink", "LinkButton", "PlotlyChart")  # with a first chart
_IMPORT = re.compile(r'(?:from|import)"\./([^"]+\.js)"')
# With both it connects at once, without asking for them first; no other site may send the page messages.
_HERE = """<script>window.__streamlit = {
      BACKEND_BASE_URL: window.location.origin,
      HOST_CONFIG: { allowedOrigins: [window.location.origin], useExternalAuthToken: false, metricsUrl: "" },
    }</script>"""
_EARLY = """  <link rel="modulepreload" crossorigin href="./{0}">
  """
_RUN = """  <script type="module">{0}</script>
  """


@cache
def html(has_charts: bool) -> str:
    """The page; with charts, what draws the first is read and run while the page's script runs, and not after it."""
    page = (folder() / "index.html").read_text()
    titled = page.replace("<title>Streamlit</title>", f"<title>callmeter</title>\n    {_HERE}")
    if not has_charts:
        return titled
    shown = [path for name in _SHOWN for path in (folder() / _JS).glob(f"{name}.*.js")]
    early = "".join(_EARLY.format(f"{_JS}/{path.name}") for path in _with_imports(shown) if path.name not in page)
    run = _RUN.format(";".join(f'import("./{_JS}/{path.name}")' for path in shown))
    return titled.replace("</head>", f"{early}{run}</head>")  # after Streamlit's own script, which has to run first


def _with_imports(modules: Sequence[Path]) -> list[Path]:
    """Modules with all that they import."""
    found: dict[Path, None] = {}
    left = list(modules)
    while left:
        if (module := left.pop()) not in found:
            found[module] = None
            left += [module.with_name(name) for name in _IMPORT.findall(module.read_text())]
    return list(found)
