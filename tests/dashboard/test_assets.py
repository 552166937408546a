"""What a browser is sent before the app's first word: the page, and what it asks for."""

import re

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from dashboard import page
from dashboard.assets import FOREVER, Assets, folder

APP = PlainTextResponse("the app")
TYPES = {"js": "javascript", "css": "text/css"}  # without which no browser would take them


@pytest.fixture(scope="module")
def browser() -> TestClient:
    return TestClient(Assets(APP))


def test_every_file_that_the_page_names_is_sent_as_it_is_to_be_kept_for_ever(browser: TestClient) -> None:
    named = re.findall(r'(?:src|href)="\.(/static/[^"]+)"', page.html(has_charts=True))
    assert len(named) > 90
    for path in named:
        answer = browser.get(path)
        assert answer.content == (folder() / path[1:]).read_bytes()
        assert answer.headers["cache-control"] == FOREVER
        assert TYPES.get(path.rpartition(".")[2], "") in answer.headers.get("content-type", "")


@pytest.mark.parametrize("path", ["/", "/static/", "/static/js/", "/static/js/none.js", "/static/../index.html"])
def test_all_else_is_the_apps(browser: TestClient, path: str) -> None:
    assert browser.get(path).text == "the app"


def test_other_methods_are_the_apps(browser: TestClient) -> None:
    (path,) = re.findall(r'src="\.(/static/[^"]+)"', page.html(has_charts=False))
    assert browser.post(path).text == "the app"


def test_a_page_with_charts_names_what_draws_the_first_with_all_that_it_imports() -> None:
    with_charts, without = page.html(has_charts=True), page.html(has_charts=False)
    run = re.findall(r'import\("\./static/js/([^".]+)[^"]*\.js"\)', with_charts)
    assert {"PlotlyChart", "Metric", "Selectbox"} < set(run)
    assert "PlotlyChart" not in without
    named = set(re.findall(r'"\./static/js/([^"]+)"', with_charts))
    for name in named:
        text = (folder() / "static" / "js" / name).read_text()
        imported = set(re.findall(r'from"\./([^"]+)"', text))
        assert imported <= named, f"{name} imports what is not named"
