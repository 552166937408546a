"""A real Chromium on a real dashboard, and everything it complained of or asked for elsewhere."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LOOPBACK = ("127.0.0.1", "localhost", "")  # the last for data: and blob:
DRAWN = """() => [...document.querySelectorAll('.js-plotly-plot')]
    .filter(plot => plot.data && plot.data.some(trace => trace.y && trace.y.length)).length"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The machine's Chromium, or Playwright's own; skips where there is neither."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or playwright.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium here: apt-get install chromium, or playwright install chromium")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A page with what went wrong in it: errors on the console, in scripts, dialogs, and requests off loopback."""

    def __init__(self, browser: Browser, width: int = 1440, theme: Any = "light") -> None:
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        self.wrong: list[str] = []
        self.downloads: list[Any] = []
        self.context.on("page", self._watch)
        self.page = self.context.new_page()

    def _watch(self, page: Page) -> None:
        page.on("console", lambda message: self._note(message.type == "error", f"console: {message.text}"))
        page.on("pageerror", lambda error: self._note(True, f"script: {error}"))
        page.on("dialog", lambda dialog: self._note(True, f"dialog: {dialog.message}"))
        page.on("request", lambda it: self._note(urlsplit(it.url).hostname not in (*LOOPBACK, None), f"off: {it.url}"))
        page.on("download", lambda download: self.downloads.append(download))

    def _note(self, is_wrong: bool, what: str) -> None:
        if is_wrong:
            self.wrong.append(what)

    def open(self, address: str, charts: int) -> Page:
        """Goes to an address and waits until so many charts are drawn with data."""
        self.page.goto(address)
        self.drawn(charts)
        return self.page

    def drawn(self, charts: int) -> None:
        """Waits until so many charts are drawn with data, and the app has come to rest."""
        self.page.wait_for_function(f"({DRAWN})() >= {charts}", timeout=30_000)
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=30_000)

    def downloaded(self) -> bytes:
        """The bytes of the next file that the browser saves."""
        while not self.downloads:
            self.page.wait_for_timeout(20)
        return Path(self.downloads.pop(0).path()).read_bytes()
