"""Ledgers and the app as a browser tab would run it, without a browser."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import streamlit as st
from playwright.sync_api import Browser
from streamlit.testing.v1 import AppTest

from dashboard import cached
from dashboard.serve import SCRIPT
from dashboard.sessions import Who
from dashboard.views import parts, scope
from tests.dashboard.browser import chromium
from tests.dashboard.ledgers import NOW, hourly, make_ledger
from tests.processes import running
from tests.stored import store

ADMIN = Who()


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
            make_ledger(made[name], name)
        return made[name]

    return folder


@pytest.fixture
def tab(ledger: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Opens a page of the dashboard on one of LEDGERS, or on a folder without any; `page` is a file of views."""

    def opened(where: str | Path, page: str = "", who: Who = ADMIN, **query: str | list[str]) -> AppTest:
        folder = where if isinstance(where, Path) else ledger(where)
        monkeypatch.setenv("CALLMETER_DATA_DIR", str(folder))
        if (folder / "callmeter.toml").exists():
            monkeypatch.setenv("CALLMETER_CONFIG", str(folder / "callmeter.toml"))
        monkeypatch.setattr(cached, "now_us", lambda: NOW)
        monkeypatch.setattr(scope, "visitor", lambda: who)
        monkeypatch.setattr(parts, "is_new_to", lambda page: False)
        app = AppTest.from_file(str(SCRIPT), default_timeout=60)
        for name, value in query.items():
            app.query_params[name] = value
        return app.switch_page(f"views/{page}.py").run() if page else app.run()

    return opened


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory whose ledger holds the calls of `hourly`, up to now."""
    made = tmp_path_factory.mktemp("served")
    now_us = time.time_ns() // 1_000
    store(made, hourly(now_us), now_us=now_us).dispose()
    return made


@pytest.fixture(scope="session")
def address(served: Path) -> Iterator[str]:
    """Where `callmeter dashboard`, started in another directory, shows that ledger."""
    elsewhere = served / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "callmeter.toml").write_text('[[budgets]]\nscope = "all"\nperiod = "month"\nlimit_usd = 1000\n')
    with running(elsewhere, "--data-dir", str(served), "dashboard", "--port", "0") as dashboard:
        yield dashboard.addresses("dashboard")["dashboard"]
        assert dashboard.end() == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["callmeter.toml", "stderr.txt", "stdout.txt"]


@pytest.fixture(scope="session")
def retried(served: Path) -> str:
    """The id of a call of that ledger that took two attempts."""
    with closing(sqlite3.connect(f"file:{served / 'callmeter.db'}?mode=ro", uri=True)) as connection:
        return str(connection.execute("SELECT id FROM v_calls WHERE attempts = 2 ORDER BY id").fetchone()[0])


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """It ends with its module: as long as it runs, so does an event loop, beside which no other test can have one."""
    with chromium() as started:
        yield started
