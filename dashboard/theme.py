"""The look: one accent, a colour-blind-safe palette in a light and a dark form, and Streamlit's settings.

Figures name colours by Streamlit's own placeholders, which the browser replaces by the palette of the theme in use;
so one figure serves both themes. Hues follow Okabe and Ito (https://jfly.uni-koeln.de/color/).
"""

import sys
from functools import cache
from pathlib import Path
from typing import Any

_PALETTE = (
    # role, light, dark
    ("accent", "#2f5fd0", "#7aa2ff"),
    ("second", "#f0b04a", "#f2bd68"),
    ("third", "#149077", "#3cc2a4"),
    ("fourth", "#b7608f", "#e093bd"),
    ("fifth", "#7cb8ea", "#4d8fc7"),
    ("sixth", "#6a4fa3", "#b49af0"),
    ("rest", "#93a0b0", "#76828f"),
    ("degraded", "#e5a11b", "#edb440"),
    ("down", "#c8452f", "#f0785f"),
    ("faint", "#d5dbe3", "#38414d"),
)


def _placeholder(n: int) -> str:
    return f"#{n:06d}"


COLOR: dict[str, str] = {role: _placeholder(n) for n, (role, _, _) in enumerate(_PALETTE, start=1)}
COLOR["background"] = "#000038"
COLOR["text"] = "#000037"
SERIES = tuple(COLOR[role] for role in ("accent", "second", "third", "fourth", "fifth", "sixth"))

_COMMON = {
    "baseRadius": "0.5rem",
    "baseFontSize": 15,
    "headingFontSizes": ["1.65rem", "1.25rem", "1.05rem"],
    "headingFontWeights": [650, 600, 600],
    "metricValueFontSize": "1.6rem",
    "metricValueFontWeight": 600,
    "showWidgetBorder": True,
    "showSidebarBorder": True,
    "linkUnderline": False,
    "paddingTop": "1.25rem",
}
_LIGHT = {
    "primaryColor": "#2f5fd0",
    "backgroundColor": "#ffffff",
    "secondaryBackgroundColor": "#f5f7fa",
    "textColor": "#0f1620",  # captions take 60% of it, and have to be read too
    "borderColor": "#e1e6ed",
    "linkColor": "#2f5fd0",
    "greenColor": "#149077",
    "redColor": "#c8452f",
    "chartCategoricalColors": [light for _, light, _ in _PALETTE],
}
_DARK = {
    "primaryColor": "#7aa2ff",
    "backgroundColor": "#12161c",
    "secondaryBackgroundColor": "#1a2029",
    "textColor": "#e6eaf0",
    "borderColor": "#2b333f",
    "linkColor": "#7aa2ff",
    "greenColor": "#3cc2a4",
    "redColor": "#f0785f",
    "chartCategoricalColors": [dark for _, _, dark in _PALETTE],
}
_SIDEBARS = {"light": {"backgroundColor": "#f7f9fb"}, "dark": {"backgroundColor": "#0e1217"}}


def streamlit_config() -> dict[str, Any]:
    """Streamlit's options by dotted name: the two themes, and nothing that calls home or shows the inside.

    No message is large enough to be kept in the browser: it forgets what was not shown for three runs, and what a
    request that is on its way says it has can be gone when the answer names it. Then it would end the connection.
    """
    options: dict[str, Any] = {
        "browser.gatherUsageStats": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "minimal",
        "global.minCachedMessageSize": sys.maxsize,
        "logger.level": "warning",
        "runner.magicEnabled": False,
        "runner.postScriptGC": False,
        "server.enableStaticServing": False,
        "server.fileWatcherType": "none",
        "server.headless": True,
        "server.maxUploadSize": 1,
        "server.runOnSave": False,
        "server.showEmailPrompt": False,
    }
    options |= {f"theme.{name}": value for name, value in _COMMON.items()}
    for theme, values in (("light", _LIGHT), ("dark", _DARK)):
        options |= {f"theme.{theme}.{name}": value for name, value in values.items()}
        options |= {f"theme.{theme}.sidebar.{name}": value for name, value in _SIDEBARS[theme].items()}
    return options


@cache
def style() -> str:
    """The look of what is our own HTML, with the colours of the theme in use."""
    named = ("secondaryBackgroundColor", "borderColor")
    colors = "".join(f"--{name}:light-dark({_LIGHT[name]},{_DARK[name]});" for name in named)
    css = (Path(__file__).parent / "static" / "page.css").read_text()
    return f"<style>.stApp{{{colors}}}{css}</style>"
