"""Ledgers and the app as a browser tab would run it, without a browser."""

from collections.abc import Callable
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from collector.core.outcomes import Outcome
from collector.core.periods import DAY_S, SECOND_US
from dashboard import cached
from dashboard.serve import SCRIPT
from tests.dashboard.ledgers import Fact, demo_facts, make_ledger
from tests.tables import instant

NOW = instant("2026-10-20T15:30")
NOW_S = NOW // SECOND_US
HOSTILE = (
    "<b>bold</b><script>alert(1)</script>",
    "[link](http://evil.example) **bold** :material/home: :red[x] $x^2$ :smile:",
    "#000001 %{y} {series} `code`",
    "=HYPERLINK(1)",
    "<img src=https://evil.example/x onerror=alert(1)>",
)
ONE = Fact(NOW_S - 60, "openai/gpt-4-turbo", "openai", input=1_000, output=500, cost=53_900_000_000)
LEDGERS: dict[str, Callable[[], list[Fact]]] = {
    "demo": lambda: demo_facts(NOW),
    "empty": list,
    "one call": lambda: [ONE],
    "unpriced only": lambda: [Fact(NOW_S - 3_600 * n, "acme/x", "acme", cost=None) for n in range(1, 50)],
    "down all day": lambda: [
        Fact(NOW_S - DAY_S // 2, "m", "acme", outcome=Outcome.PROVIDER_FAULT, calls=200, input=0, output=0, cost=0)
    ],
    "hostile names": lambda: [
        Fact(NOW_S - n * 3_600, name, name, name, name, name, calls=20, cost=None if n % 2 else 10**12)
        for n, name in enumerate(HOSTILE * 3, start=1)
    ],
}


@pytest.fixture(autouse=True)
def _no_cache_outlives_a_test() -> None:
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of one of LEDGERS, made once."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name.replace(" ", "-"))
            labels = {text: f"{text} title" for text in HOSTILE}
            make_ledger(made[name] / "callmeter.db", LEDGERS[name](), demo=name == "demo", labels=labels)
        return made[name]

    return folder


@pytest.fixture
def tab(ledger: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a page of the dashboard on one of LEDGERS, or on a folder without any."""

    def opened(where: str | Path, **query: str | list[str]) -> AppTest:
        folder = where if isinstance(where, Path) else ledger(where)
        monkeypatch.setenv("CALLMETER_DATA_DIR", str(folder))
        monkeypatch.setattr(cached, "now_us", lambda: NOW)
        app = AppTest.from_file(str(SCRIPT), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return opened
