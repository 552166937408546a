"""What is clicked while the answer to an earlier click is still on its way."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, WebSocketRoute, expect
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from tests.dashboard.browser import Tab

AT_REST = "[data-testid=stApp][data-test-connection-state=CONNECTED][data-test-script-state=notRunning]"
MODEL, PROVIDER, APP, KEY = 1, 2, 3, 4  # places among the choices
SETTLED_MS = 800  # all of a run has come, and what the browser asks for on its own after it


class Line:
    """The WebSocket of a page: what the server answers can be kept back, and what the browser asks as well."""

    def __init__(self, page: Page) -> None:
        self.finished = 0
        self.holds_answers = self.holds_asked = False
        self._answers: list[str | bytes] = []
        self._asked: list[str | bytes] = []
        page.route_web_socket("**/_stcore/stream", self._connect)

    def _connect(self, browser: WebSocketRoute) -> None:
        self._browser, self._server = browser, browser.connect_to_server()
        browser.on_message(self._ask)
        self._server.on_message(self._answer)

    def _ask(self, message: str | bytes) -> None:
        self._asked.append(message)
        self._pass_on()

    def _answer(self, message: str | bytes) -> None:
        assert isinstance(message, bytes)
        self.finished += ForwardMsg.FromString(message).WhichOneof("type") == "script_finished"
        self._answers.append(message)
        self._pass_on()

    def _pass_on(self) -> None:
        while self._answers and not self.holds_answers:
            self._browser.send(self._answers.pop(0))
        while self._asked and not self.holds_asked:
            self._server.send(self._asked.pop(0))

    def release(self) -> None:
        """Lets all pass in the order in which it came, answers first."""
        self.holds_answers = self.holds_asked = False
        self._pass_on()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    its = Tab(browser)
    yield its
    its.context.close()


def groups(tab: Tab, address: str) -> Locator:
    """The choice of what Overview splits by, once all is drawn, over days enough for answers of some size."""
    tab.open(f"{address}/?period=90d", charts=5)
    at_rest(tab.page)
    return tab.page.locator(".st-key-split").get_by_role("radio")


def at_rest(page: Page) -> None:
    page.wait_for_timeout(SETTLED_MS)
    page.wait_for_selector(AT_REST)


def test_what_was_shown_some_choices_ago_is_chosen_again_before_the_last_choice_is_answered(
    tab: Tab, address: str
) -> None:
    line = Line(tab.page)
    by = groups(tab, address)
    for n in (APP, KEY):
        by.nth(n).click()
        at_rest(tab.page)
    before, line.holds_answers = line.finished, True
    by.nth(MODEL).click()
    tab.page.wait_for_timeout(SETTLED_MS)
    line.holds_asked = True
    by.nth(APP).click()
    for _ in range(100):
        if line.finished > before:
            break
        tab.page.wait_for_timeout(100)
    tab.page.wait_for_timeout(SETTLED_MS)
    line.release()
    expect(by.nth(APP)).to_be_checked()
    tab.page.wait_for_url("**group=app**")
    at_rest(tab.page)
    assert tab.wrong == []


def test_a_period_chosen_before_the_one_before_it_is_answered_stays_chosen(tab: Tab, address: str) -> None:
    line = Line(tab.page)
    tab.open(address, charts=5)
    at_rest(tab.page)
    line.holds_answers = True
    for period in ("7d", "24h"):
        tab.page.get_by_text(period, exact=True).click()
        tab.page.wait_for_timeout(SETTLED_MS)
    line.release()
    at_rest(tab.page)
    expect(tab.page.get_by_role("radio", name="24h")).to_be_checked()
    tab.page.wait_for_url("**period=24h**", timeout=2_000)
    tab.page.go_back()
    tab.page.wait_for_url("**period=7d**")
    expect(tab.page.get_by_role("radio", name="7d")).to_be_checked()
    assert tab.wrong == []


def test_what_is_chosen_again_before_the_answer_to_another_choice_is_what_the_address_says(
    tab: Tab, address: str
) -> None:
    line = Line(tab.page)
    by = groups(tab, address)
    by.nth(PROVIDER).click()
    at_rest(tab.page)
    line.holds_answers = True
    for n in (MODEL, PROVIDER):
        by.nth(n).click()
        tab.page.wait_for_timeout(SETTLED_MS)
    line.release()
    at_rest(tab.page)
    expect(by.nth(PROVIDER)).to_be_checked()
    tab.page.wait_for_url("**group=provider**", timeout=2_000)
    assert tab.wrong == []
