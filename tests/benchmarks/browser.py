"""The dashboard in a real browser beside an empty Streamlit app with one chart: first chart, a filter, many at once.

    python -m tests.benchmarks.browser [--directory DIR] [--calls 100000] [--rounds 5] [--sessions 20]

Every first chart is in a browser without a cache. A filter is a provider chosen in the dashboard once all its charts
are drawn, and a choice that redraws the chart in the empty app; both from the click until the first chart has changed,
the first choice in a new tab apart from those after it. With --directory the ledger stays.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

from collector.core.periods import format_day
from tests.benchmarks.journals import END_US, START_US
from tests.benchmarks.reference import make
from tests.benchmarks.servers import free_ports, python, rss_mib, running
from tests.benchmarks.table import Result, show
from tests.dashboard.browser import DRAWN, Tab, chromium

FIRST, FILTER_S, MEMORY_MIB = 1.3, 0.3, 600
CHARTS = 5  # of Overview, at least
REST_MS = 1_500  # all is drawn then; and a list of options that has just scrolled takes no click
PROVIDERS = ("anthropic", "azure", "deepseek", "google")  # chosen one after another
DAY_US = 86_400_000_000
EMPTY = """import plotly.graph_objects as go
import streamlit as st

many = st.segmented_control("Bars", ["ten", "thirty"], default="ten", key="bars") == "thirty"
numbers = list(range(30 if many else 10))
fig = go.Figure()
fig.add_bar(x=numbers, y=numbers)
st.plotly_chart(fig, key="chart")
"""
SERVE = """import sys, uvicorn, streamlit as st
from streamlit.web import bootstrap
from dashboard.theme import streamlit_config
bootstrap.load_config_options(streamlit_config())
uvicorn.run(st.App(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", ws="websockets-sansio")
"""
DATA = "() => JSON.stringify(document.querySelector('.js-plotly-plot')?.data?.map(trace => [trace.name, trace.y]))"


@contextmanager
def both(folder: Path, ledger: Path) -> Iterator[tuple[int, str, str]]:
    """The two servers: the dashboard's process id and address, and the empty app's address."""
    ours, theirs = free_ports(2)
    app, serve = folder / "empty_app.py", folder / "serve_empty.py"
    app.write_text(EMPTY)
    serve.write_text(SERVE)
    command = ["-m", "collector.cli", "--data-dir", str(ledger), "dashboard", "--port", str(ours)]
    with ExitStack() as stack:
        pid = stack.enter_context(running(python(*command), ours, folder / "dashboard.log"))
        stack.enter_context(running(python(str(serve), str(app), str(theirs)), theirs, folder / "empty.log"))
        first, end = (format_day(us // DAY_US) for us in (START_US, END_US))
        yield pid, f"http://127.0.0.1:{ours}/?period={first}..{end}", f"http://127.0.0.1:{theirs}/"


def first_chart_s(browser: Browser, address: str) -> float:
    """Seconds from asking for a page until its first chart is drawn with data, nothing cached."""
    tab = Tab(browser)
    began = time.perf_counter()
    tab.page.goto(address, wait_until="commit")
    tab.page.wait_for_function(f"({DRAWN})() >= 1", polling="raf", timeout=60_000)
    took = time.perf_counter() - began
    tab.context.close()
    return took


def changed_s(page: Page, change: Callable[[], None]) -> float:
    """Seconds from a click until the first chart shows something else."""
    before = page.evaluate(DATA)
    began = time.perf_counter()
    change()
    page.wait_for_function(f"before => ({DATA})() !== before", arg=before, polling="raf", timeout=60_000)
    return time.perf_counter() - began


def filters_s(browser: Browser, address: str) -> list[float]:
    """Seconds that choosing a provider takes in the dashboard, and another one after it in the same tab, and so on."""
    tab = Tab(browser)
    page = tab.open(address, CHARTS)
    page.get_by_role("button", name="Filters").click()
    page.get_by_role("combobox", name="Providers").click()
    took = []
    for name in PROVIDERS:
        option = page.get_by_role("option", name=name, exact=True)
        option.scroll_into_view_if_needed()
        page.wait_for_timeout(REST_MS)
        took.append(changed_s(page, option.click))
        page.wait_for_timeout(REST_MS)
    tab.context.close()
    return took


def reruns_s(browser: Browser, address: str) -> list[float]:
    """Seconds that as many choices take in the empty app."""
    tab = Tab(browser)
    page = tab.open(address, 1)
    took = []
    for n in range(len(PROVIDERS)):
        page.wait_for_timeout(REST_MS)
        took.append(changed_s(page, page.get_by_text(("thirty", "ten")[n % 2], exact=True).click))
    tab.context.close()
    return took


def filters(ours: list[list[float]], theirs: list[list[float]]) -> Iterator[Result]:
    """The first choice in a new tab, and those after it."""
    for name, pick in (("a tab's first filter", slice(0, 1)), ("a further filter", slice(1, None))):
        mine, plain = (statistics.median(took for tab in side for took in tab[pick]) for side in (ours, theirs))
        told = f"{mine:.2f} s, {plain:.2f} s"
        yield Result(f"{name}, more than a rerun", told, mine - plain, FILTER_S, at_most=True)


def at_once(browser: Browser, address: str, count: int) -> tuple[float, list[str]]:
    """Opens so many sessions, which all stay: seconds until each has its charts, and what went wrong in any."""
    tabs = [Tab(browser, 800) for _ in range(count)]
    began = time.perf_counter()
    for tab in tabs:
        tab.page.goto(address, wait_until="commit")
        tab.page.wait_for_function(f"({DRAWN})() >= 1", polling=200, timeout=60_000)
    for tab in tabs:
        tab.page.wait_for_function(f"({DRAWN})() >= {CHARTS}", polling=200, timeout=60_000)
    took = time.perf_counter() - began
    wrong = [what for tab in tabs for what in tab.wrong]
    for tab in tabs:
        tab.context.close()
    return took, wrong


def measure(folder: Path, ledger: Path, rounds: int, sessions: int) -> Iterator[Result]:
    """The lines of the table."""
    with both(folder, ledger) as (pid, ours, theirs), chromium() as browser:
        pairs = [(first_chart_s(browser, ours), first_chart_s(browser, theirs)) for _ in range(rounds + 1)][1:]
        mine, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
        yield Result("first chart", f"{mine:.2f} s of {plain:.2f} s", mine / plain, FIRST, at_most=True)
        tabs = [(filters_s(browser, ours), reruns_s(browser, theirs)) for _ in range(rounds)]
        yield from filters([mine for mine, _ in tabs], [plain for _, plain in tabs])
        took, wrong = at_once(browser, ours, sessions)
        said = f"all drawn in {took:.0f} s" + (f"; first of them: {wrong[0][:60]}" if wrong else "")
        yield Result(f"{sessions} sessions at once: errors", said, len(wrong), 0, at_most=True)
        most = rss_mib(pid)
        yield Result("memory of the dashboard, MiB", f"{most:,.0f} MiB at most", most, MEMORY_MIB, at_most=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="callmeter-bench-") as name:
        ledger = (options.directory or Path(name) / "ledger").absolute()
        make(ledger, options.calls)
        show(measure(Path(name), ledger, options.rounds, options.sessions))


if __name__ == "__main__":
    main()
