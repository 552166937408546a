"""Who is let in: by which names, after which sign-in, as whom; asked of the middleware as a server asks it."""

import asyncio
import socket
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from collector.core.errors import SettingsError, UsageError
from collector.core.passwords import hash_password
from collector.settings import Dashboard, User
from dashboard import signin
from dashboard.access import COOKIE, ROLE_HEADER, USER_HEADER, Gate, check_host, host_names
from dashboard.serve import listen
from dashboard.sessions import Attempts, Sessions, Who

KEPT = hash_password("correct horse", bytes(16))
OPEN = Dashboard()
CLOSED = Dashboard(users={"ann": User(KEPT, "admin"), "bob": User(KEPT)})
PROXIED = Dashboard(user_header="X-Forwarded-User", names=("meter.example",), admins=("ann",))
HTML = ("accept", "text/html")
ORIGIN = ("origin", "http://localhost:8501")


Answered = tuple[int, dict[str, str], str]  # status, headers, text


class Visit:
    """A gate with an app behind it that notes whom it is told of, and a clock that is set by hand."""

    def __init__(self, its: Dashboard = OPEN) -> None:
        self.now_s = 1_000.0
        self.seen: list[dict[str, str]] = []
        self.heard: list[str] = []
        self.gate = Gate(self._app, its, lambda: self.now_s)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if scope["type"] == "websocket":
            self.heard += [(await receive())["type"], (await receive())["type"]]
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"in"})

    def ask(
        self, path: str = "/", *headers: tuple[str, str], body: str = "", host: str = "localhost:8501", **more: Any
    ) -> Answered:
        """What a request is answered: status, headers, text."""
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body.encode()}

        async def send(message: Any) -> None:
            sent.append(message)

        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": "POST" if body else "GET",
            "path": path,
            "query_string": query.encode(),
            "client": ("127.0.0.1", 5),
            "headers": [(n.encode(), v.encode()) for n, v in (*([("host", host)] if host else []), *headers)],
            **more,
        }
        asyncio.run(self.gate(scope, receive, send))
        start = sent[0]
        text = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        return start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, text

    def websocket(self, *headers: tuple[str, str], then: Any = None) -> list[dict[str, Any]]:
        """What a WebSocket is sent before its app speaks; `then` is done between its first and second message."""
        sent: list[dict[str, Any]] = []
        count = iter(range(10))

        async def receive() -> dict[str, Any]:
            if next(count) and then:
                then()
            return {"type": "websocket.receive"}

        async def send(message: Any) -> None:
            sent.append(message)

        listed = [(n.encode(), v.encode()) for n, v in (("host", "localhost:8501"), *headers)]
        scope = {"type": "websocket", "path": "/_stcore/stream", "client": ("127.0.0.1", 5), "headers": listed}
        asyncio.run(self.gate(scope, receive, send))
        return sent

    def sign_in(self, user: str = "ann", password: str = "correct horse", **more: Any) -> Answered:
        form = urlencode({"user": user, "password": password})
        return self.ask("/sign-in?next=/model", ORIGIN, body=form, **more)

    def cookie(self) -> tuple[str, str]:
        return ("cookie", self.sign_in()[1]["set-cookie"].partition(";")[0])


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost", "LOCALHOST:1", "[::1]:8501"])
def test_this_machine_is_let_in_as_admin_with_a_policy_that_forbids_requests_elsewhere(host: str) -> None:
    visit = Visit()
    status, headers, _ = visit.ask(host=host)
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'self'; ")
    assert (visit.seen[0][USER_HEADER], visit.seen[0][ROLE_HEADER]) == ("", "admin")


@pytest.mark.parametrize("host", ["evil.example", "", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("its", [Dashboard(), PROXIED])
def test_any_other_name_is_turned_away(its: Dashboard, host: str) -> None:
    assert Visit(its).ask(host=host)[0] == 421
    assert Visit(its).ask("/", ("host", "evil.example"))[0] == 421  # twice


def test_a_websocket_by_another_name_is_closed() -> None:
    visit = Visit()
    assert visit.websocket(("host", "evil.example")) == [{"type": "websocket.close", "code": 1008}]
    assert visit.seen == []


def test_without_a_session_a_page_leads_to_the_sign_in_and_all_else_is_refused() -> None:
    visit = Visit(CLOSED)
    status, headers, _ = visit.ask("/model?model=a%26b", HTML)
    assert (status, headers["location"]) == (303, f"/sign-in?next={quote('/model?model=a%26b', safe='')}")
    assert visit.ask("/export.csv")[0] == 401
    assert visit.ask("/static/app.js")[0] == 401
    assert visit.websocket() == [{"type": "websocket.close", "code": 1008}]
    assert visit.ask("/healthz")[0] == 200
    assert len(visit.seen) == 1  # only the sign of life


def test_the_right_password_opens_pages_and_websockets_under_the_name_and_role() -> None:
    visit = Visit(CLOSED)
    status, headers, _ = visit.sign_in()
    assert (status, headers["location"]) == (303, "/model")
    assert headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Strict")
    cookie = ("cookie", headers["set-cookie"].partition(";")[0])
    assert visit.ask("/", cookie)[0] == 200
    assert visit.websocket(cookie) == []
    assert {(seen[USER_HEADER], seen[ROLE_HEADER]) for seen in visit.seen} == {("ann", "admin")}


def test_a_viewer_is_no_admin_and_nobody_can_name_their_own_role() -> None:
    visit = Visit(CLOSED)
    cookie = visit.sign_in("bob")[1]["set-cookie"].partition(";")[0]
    visit.ask("/", ("cookie", cookie), (ROLE_HEADER, "admin"), (USER_HEADER, "ann"), ("X-Callmeter-Role", "admin"))
    assert (visit.seen[0][USER_HEADER], visit.seen[0][ROLE_HEADER]) == ("bob", "viewer")
    assert "X-Callmeter-Role" not in visit.seen[0]


@pytest.mark.parametrize(
    ("user", "password"), [("ann", "wrong horse"), ("nobody", "correct horse"), ("", ""), ("ann", "x" * 9_000)]
)
def test_a_wrong_password_or_name_is_answered_alike(user: str, password: str) -> None:
    visit = Visit(CLOSED)
    status, headers, text = visit.sign_in(user, password)
    assert status == 401
    assert "set-cookie" not in headers
    assert "This name and password do not go together." in text


def test_attempts_are_limited_by_address_and_the_right_password_has_to_wait_too() -> None:
    visit = Visit(CLOSED)
    assert [visit.sign_in(password="wrong horse")[0] for _ in range(6)] == [401] * 5 + [429]
    status, headers, text = visit.sign_in()
    assert (status, headers["retry-after"]) == (429, "60")
    assert "Wait 60 seconds" in text
    assert visit.sign_in(client=("10.0.0.9", 1))[0] == 303
    visit.now_s += 61
    assert visit.sign_in()[0] == 303


def test_behind_a_proxy_the_browser_s_address_counts_and_https_makes_the_cookie_secure() -> None:
    visit = Visit(CLOSED)
    form = urlencode({"user": "ann", "password": "wrong horse"})
    forwarded = [("x-forwarded-for", f"spoofed, 10.0.0.{n}") for n in range(6)]
    assert [visit.ask("/sign-in", ORIGIN, each, body=form)[0] for each in forwarded] == [401] * 6
    right = urlencode({"user": "ann", "password": "correct horse"})
    status, headers, _ = visit.ask("/sign-in", ORIGIN, ("x-forwarded-proto", "https"), body=right)
    assert status == 303
    assert "; Secure" in headers["set-cookie"]


def test_an_attempt_from_elsewhere_is_none() -> None:
    form = urlencode({"user": "ann", "password": "correct horse"})
    for origin in ([], [("origin", "http://evil.example")], [("origin", "null")]):
        assert Visit(CLOSED).ask("/sign-in", *origin, body=form)[0] == 403


def test_signing_out_ends_the_session_and_its_open_websockets() -> None:
    visit = Visit(CLOSED)
    cookie = visit.cookie()
    token = cookie[1].partition("=")[2]
    visit.websocket(cookie, then=lambda: visit.gate._sessions.end(token))
    assert visit.heard == ["websocket.receive", "websocket.disconnect"]
    again = visit.cookie()
    status, headers, _ = visit.ask("/sign-out", again)
    assert (status, headers["location"]) == (303, "/sign-in")
    assert "Max-Age=0" in headers["set-cookie"]
    assert visit.ask("/", again)[0] == 401


def test_a_session_ends_after_its_hours() -> None:
    visit = Visit(CLOSED)
    cookie = visit.cookie()
    visit.now_s += 12 * 3_600 - 1
    assert visit.ask("/", cookie)[0] == 200
    visit.now_s += 2
    assert visit.ask("/", cookie)[0] == 401


def test_the_sign_in_page_goes_on_only_to_this_server_and_shows_nothing_as_markup() -> None:
    elsewhere = ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/sign-out", "/ä")
    for target in elsewhere:
        assert signin.safe_target(target) == "/"
    assert signin.safe_target("/model?model=a/b") == "/model?model=a/b"
    _, headers, text = Visit(CLOSED).ask("/sign-in?next=" + quote('/"><script>'))
    assert "<script>" not in text
    assert headers["cache-control"] == "no-store"


def test_a_proxy_that_is_trusted_names_who_looks_and_nobody_else_can() -> None:
    visit, ann = Visit(PROXIED), ("x-forwarded-user", "ann")
    assert visit.ask("/", ann, host="meter.example")[0] == 200
    assert visit.ask("/", ("x-forwarded-user", "bob"), host="meter.example")[0] == 200
    assert [(seen[USER_HEADER], seen[ROLE_HEADER]) for seen in visit.seen] == [("ann", "admin"), ("bob", "viewer")]
    assert visit.ask("/", host="meter.example")[0] == 401
    assert visit.ask("/", ann, client=("10.0.0.9", 1), host="meter.example")[0] == 401
    assert visit.ask("/", ann, ("x-forwarded-user", "bob"), host="meter.example")[0] == 401  # twice


def test_cookies_of_others_do_not_matter() -> None:
    visit = Visit(CLOSED)
    name, value = visit.cookie()
    assert visit.ask("/", (name, f"other=1; {value}; _xsrf=2"))[0] == 200
    assert visit.ask("/", (name, f"{COOKIE}=guessed"))[0] == 401


def test_sessions_and_addresses_are_bounded() -> None:
    sessions = Sessions(10)
    first = sessions.begin(Who("ann"), 0)
    tokens = [sessions.begin(Who("ann"), 0) for _ in range(1_000)]
    assert sessions.who(first, 0) is None
    assert sessions.who(tokens[0], 0) == Who("ann")
    attempts = Attempts(2, 5)
    for n in range(5):
        attempts.failed(f"a{n}", n)
    assert attempts.wait_s("new", 10) == 50
    assert attempts.wait_s("new", 61) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
def test_it_refuses_to_start_open_to_the_network(host: str) -> None:
    with pytest.raises(SettingsError, match="open to the network"):
        check_host(host, Dashboard())
    assert check_host(host, CLOSED) == host


def test_loopback_is_the_place_to_be() -> None:
    hosts = ("localhost", "127.0.0.1", "127.0.0.9", "::1")
    assert [check_host(host, Dashboard()) for host in hosts] == ["127.0.0.1", "127.0.0.1", "127.0.0.9", "::1"]


def test_with_a_password_any_name_is_answered_unless_names_are_stated() -> None:
    assert host_names(CLOSED) == ()
    assert host_names(msgspec.structs.replace(CLOSED, names=("Meter.example",)))[-1] == "meter.example"
    assert Visit(CLOSED).ask(host="192.168.1.5:8501")[0] == 401


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} at 127.0.0.1 is in use: choose another one with --port"):
            listen("127.0.0.1", port)


def test_what_is_sent_does_not_wait_for_more() -> None:
    async def of_a_visit() -> int:
        seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def visited(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            its = writer.get_extra_info("socket")
            seen.set_result(its.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0) as listener:
            async with await asyncio.start_server(visited, sock=listener):
                _, ours = await asyncio.open_connection(*listener.getsockname())
                ours.close()
                return await seen

    assert asyncio.run(of_a_visit())
