"""GET: what is tried again, what Retry-After says, what is too much; never a key in an error."""

from typing import Any

import pytest

from collector.core.errors import SourceError
from collector.intake.pulls.asking import Asker, Bounds, NotThere, bearer, plain, retry_after_s
from tests.answering import Reply, answering, in_turn

KEY = "sk-very-secret"
NOW_S = 1_790_856_000.0  # Thu, 01 Oct 2026 12:00:00 GMT


def ask(url: str, waits: list[float] | None = None, **bounds: Any) -> Any:
    sleep = waits.append if waits is not None else lambda seconds: None
    with Asker(url, bearer(KEY), Bounds(**bounds), "ADMIN_KEY", sleep, lambda: NOW_S) as asker:
        return asker.get("/x", dict[str, int], [("a", "1"), ("a", "2")])


def test_an_answer_is_read_and_the_key_is_sent() -> None:
    with answering(lambda asked: Reply({"n": 1})) as server:
        assert ask(server.url) == {"n": 1}
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert server.asked[0].params == [("a", "1"), ("a", "2")]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    waits: list[float] = []
    with answering(in_turn(Reply(status=status), Reply(status=status), Reply({"n": 1}))) as server:
        assert ask(server.url, waits) == {"n": 1}
    assert 0.5 <= waits[0] <= 1.5
    assert 1.0 <= waits[1] <= 3.0


@pytest.mark.parametrize(("status", "asked"), [(400, 1), (401, 1), (404, 1), (301, 1), (500, 4)])
def test_what_does_not_pass_is_told_without_the_key(status: int, asked: int) -> None:
    with answering(lambda _: Reply({"error": KEY}, status)) as server, pytest.raises(SourceError) as raised:
        ask(server.url)
    assert len(server.asked) == asked
    assert f"/x answered {status}" in str(raised.value)
    assert KEY not in str(raised.value)
    assert isinstance(raised.value, NotThere) is (status == 404)


def test_a_key_that_may_not_is_named_by_its_variable() -> None:
    with (
        answering(lambda _: Reply(status=403)) as server,
        pytest.raises(SourceError, match="is the key in ADMIN_KEY one"),
    ):
        ask(server.url)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("7", 7.0),
        ("Thu, 01 Oct 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Oct 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, wait_s: float | None) -> None:
    assert retry_after_s(header, NOW_S) == wait_s


def test_what_is_asked_for_is_waited_for() -> None:
    waits: list[float] = []
    with answering(in_turn(Reply(status=429, headers={"Retry-After": "7"}), Reply({"n": 1}))) as server:
        ask(server.url, waits)
    assert waits == [7.0]


def test_a_wait_beyond_the_time_limit_is_left_to_the_next_run() -> None:
    with (
        answering(lambda _: Reply(status=429, headers={"Retry-After": "3600"})) as server,
        pytest.raises(SourceError, match="answered 429 and may be asked again in 3600 s: too late now"),
    ):
        ask(server.url, seconds=5.0)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"n": "one"}', b'{"n": 1', b'{"n": 1e400}', b"[]", b"\xff", b"null"]
)
def test_another_form_than_documented_is_an_error_that_says_so(body: bytes) -> None:
    with (
        answering(lambda _: Reply(body)) as server,
        pytest.raises(SourceError, match="another form than documented"),
    ):
        ask(server.url)


def test_an_answer_beyond_its_bound_is_not_read_to_its_end() -> None:
    with (
        answering(lambda _: Reply(b" " * 100_000)) as server,
        pytest.raises(SourceError, match="max_page_bytes"),
    ):
        ask(server.url, max_bytes=10_000)


def test_a_slow_answer_ends_at_the_time_limit() -> None:
    with (
        answering(lambda _: Reply({"n": 1}, drip_s=0.2)) as server,
        pytest.raises(SourceError, match=r"too slowly|in time"),
    ):
        ask(server.url, seconds=0.5, tries=1)


def test_nobody_there_is_told_by_its_kind() -> None:
    with pytest.raises(SourceError, match=r"127.0.0.1:9/x could not be asked: ConnectError"):
        ask("http://user:pass@127.0.0.1:9")


def test_texts_are_one_line_and_bounded() -> None:
    assert plain("a\nb\0c" + "d" * 9999)[:5] == "a b c"
    assert len(plain("x" * 9999)) == 256
    assert plain(None) == ""
