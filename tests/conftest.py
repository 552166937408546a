"""What holds for every test: nothing of the user's environment is seen, and long waits begin first."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

NO_SKIP = "CALLMETER_TEST_NO_SKIP"
_OWN = (
    "CALLMETER_DATA_DIR",
    "CALLMETER_LEDGER",
    "CALLMETER_CONFIG",
    "CALLMETER_OPENAI_URL",
    "CALLMETER_OPENROUTER_URL",
    "CALLMETER_ANTHROPIC_URL",
)


settings.register_profile("callmeter", deadline=None)  # a busy machine is no failure
settings.load_profile("callmeter")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "waits: waits for the clock for up to a minute, so it is started first")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """With CALLMETER_TEST_NO_SKIP=1 a skipped test is a failed one: the full run has everything it needs."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if os.environ.get(NO_SKIP) == "1" and report.skipped and not _is_excused(report):
        report.outcome, report.longrepr = "failed", f"skipped, but {NO_SKIP}=1: {report.longrepr}"


def _is_excused(report: pytest.TestReport) -> bool:
    """What no package can mend: an expected failure, and a machine without the Python that a tool needs."""
    return hasattr(report, "wasxfail") or "needs Python 3.12 or newer" in str(report.longrepr)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _OWN:
        monkeypatch.delenv(name, raising=False)
