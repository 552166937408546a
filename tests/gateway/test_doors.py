"""Who is let in, who a call is attributed to, what passes on, and where a call goes: rules without a socket."""

import re
import stat
import tracemalloc
from pathlib import Path

import pytest

from collector.core.errors import SettingsError
from collector.intake.gateway.admission import check_source, is_loopback_host
from collector.intake.gateway.asked import Asked
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.headers import to_client, to_upstream
from collector.intake.gateway.identity import App, KeyNames, app_of, key_of, load_secret, session_of
from collector.intake.gateway.operations import OPERATIONS, SURFACES
from collector.intake.gateway.router import router_of
from collector.intake.gateway.routing import routes_of
from collector.intake.gateway.server import check_bind, own_keys
from collector.settings import Endpoint, Provider, Settings

CHAT = OPERATIONS[0]
OPENAI, OPENROUTER = SURFACES
HERE = Path("/nowhere")
NOW_US = 1_790_000_000_000_000


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        (b"localhost", True),
        (b"LOCALHOST:8484", True),
        (b"127.0.0.1:8484", True),
        (b"127.9.9.9", True),
        (b"[::1]:8484", True),
        (b"[::1]", True),
        (b"", False),
        (b"evil.example", False),
        (b"localhost.evil.example", False),
        (b"127.0.0.1.evil.example:80", False),
        (b"127.0.0", False),
        (b"127.0.0.256", False),
        (b"0.0.0.0", False),
        (b"192.168.1.5:8484", False),
        (b"[::2]:8484", False),
        (b"localhost:80@evil.example", False),
        (b"[::1]evil.example", False),
        (b"localhost.", False),
    ],
)
def test_only_this_machines_loopback_is_a_host(host: bytes, is_ours: bool) -> None:
    assert is_loopback_host(host) is is_ours


@pytest.mark.parametrize("origin", [b"https://evil.example", b"http://localhost:3000", b"null", b""])
def test_a_web_page_is_refused_whatever_its_origin(origin: bytes) -> None:
    with pytest.raises(Refusal, match="web pages may not call"):
        check_source({b"host": b"localhost", b"origin": origin})


def test_a_listed_origin_is_let_in() -> None:
    check_source({b"host": b"localhost", b"origin": b"https://app.example"}, origins={b"https://app.example"})


def test_any_host_is_let_in_where_every_call_needs_a_key() -> None:
    check_source({b"host": b"gateway.example"}, is_public=True)
    with pytest.raises(Refusal, match="web pages may not call"):
        check_source({b"host": b"gateway.example", b"origin": b"https://gateway.example"}, is_public=True)


@pytest.mark.parametrize(
    ("headers", "app"),
    [
        ({}, App()),
        ({"http-referer": "https://App.example/path?q=1"}, App("https://app.example")),
        ({"referer": "https://app.example:8443/"}, App("https://app.example:8443")),
        ({"http-referer": "https://app.example:443/", "x-title": "My App"}, App("https://app.example", "My App")),
        ({"http-referer": "http://localhost:3000", "x-title": "Dev"}, App("Dev", "Dev")),
        ({"http-referer": "http://127.0.0.1/", "x-title": "Dev"}, App("Dev", "Dev")),
        ({"http-referer": "http://localhost:3000"}, App()),
        ({"http-referer": "not an address", "x-title": "T"}, App("T", "T")),
        ({"http-referer": "https://[broken"}, App()),
        ({"x-title": "old", "x-openrouter-title": "new"}, App("new", "new")),
        ({"x-title": "  \x00 "}, App()),
        ({"x-title": "x" * 900}, App("x" * 256, "x" * 256)),
    ],
)
def test_the_referer_is_the_app_and_the_title_stands_in_for_a_local_one(headers: dict[str, str], app: App) -> None:
    assert app_of({name.encode(): value.encode() for name, value in headers.items()}) == app


def test_the_bodys_session_comes_before_the_headers() -> None:
    assert session_of({b"x-session-id": b"h"}, "b") == "b"
    assert session_of({b"x-session-id": b"h"}, None) == "h"
    assert session_of({}, None) is None


@pytest.mark.parametrize(
    ("header", "key"),
    [(b"Bearer sk-1", "sk-1"), (b"bearer  sk-1 ", "sk-1"), (b"Bearer ", None), (b"Basic eA==", None), (b"", None)],
)
def test_a_key_is_what_follows_bearer(header: bytes, key: str | None) -> None:
    assert key_of({b"authorization": header}) == key


def test_a_key_is_named_the_same_while_the_secret_stays_and_never_told(tmp_path: Path) -> None:
    names = KeyNames(load_secret(tmp_path))
    again = KeyNames(load_secret(tmp_path))
    name = names.name("sk-secret-key")
    assert name == again.name("sk-secret-key") != names.name("sk-other-key")
    assert KeyNames(b"another secret!!").name("sk-secret-key") != name
    assert name.startswith("hmac:")
    assert len(name) == 5 + 16


def test_keys_as_long_as_a_page_are_named_and_not_kept() -> None:
    names = KeyNames(b"x" * 32)
    assert names.name("k" * 60_000) == names.name("k" * 60_000)
    tracemalloc.start()
    for n in range(100):
        names.name(f"{n}" + "k" * 60_000)
    assert tracemalloc.get_traced_memory()[0] < 1_000_000
    tracemalloc.stop()


def test_the_secret_is_for_its_owner_only(tmp_path: Path) -> None:
    load_secret(tmp_path / "data")
    path = tmp_path / "data" / "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["secret"]
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="has mode 644"):
        load_secret(tmp_path / "data")
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(SettingsError, match="holds 5 bytes"):
        load_secret(tmp_path / "data")


SENT = [
    (b"host", b"localhost"),
    (b"authorization", b"Bearer sk-callers"),
    (b"cookie", b"a=b"),
    (b"user-agent", b"OpenAI/Python"),
    (b"x-stainless-lang", b"python"),
    (b"openai-organization", b"org"),
    (b"http-referer", b"https://app.example"),
    (b"x-title", b"App"),
    (b"x-forwarded-for", b"10.0.0.1"),
    (b"accept-encoding", b"gzip"),
    (b"te", b"trailers"),
]
ALWAYS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "OpenAI/Python"}
PASSED = {"x-stainless-lang": "python", "openai-organization": "org"}


def test_only_named_headers_go_to_a_provider() -> None:
    plain = {**ALWAYS, "Accept": "application/json", **PASSED}
    assert to_upstream(SENT, "openai", None, stream=False) == plain
    attributed = {"http-referer": "https://app.example", "x-title": "App"}
    streamed = {**ALWAYS, "Accept": "text/event-stream", **PASSED, **attributed, "Authorization": "Bearer k"}
    assert to_upstream(SENT, "openrouter", "k", stream=True) == streamed


def test_only_named_headers_come_back() -> None:
    received = [
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=b"),
        (b"x-ratelimit-remaining-tokens", b"7"),
        (b"retry-after", b"3"),
        (b"connection", b"close"),
        (b"content-encoding", b"gzip"),
        (b"server", b"x"),
        (b"location", b"http://10.0.0.1"),
    ]
    assert to_client(received) == [
        (b"content-type", b"application/json"),
        (b"x-ratelimit-remaining-tokens", b"7"),
        (b"retry-after", b"3"),
    ]


def settings(config: bool = True, **tables: object) -> Settings:
    return Settings(data_dir=HERE, ledger_url="sqlite://", config_path=HERE if config else None, **tables)  # type: ignore[arg-type]


PROVIDERS = {
    "a": Provider(base_url="http://a/v1/"),
    "b": Provider(base_url="http://b/v1", api_key_env="B_KEY"),
    "router": Provider(base_url="http://r/api/v1", kind="openrouter", pass_key=True),
    "native": Provider(base_url="http://n", kind="anthropic"),
}
ENDPOINTS = (
    Endpoint(model="m", provider="b", upstream_model="m-2024"),
    Endpoint(model="m", provider="a"),
    Endpoint(model="e", provider="a", operations=("embeddings",)),
    Endpoint(model="claude", provider="native"),
)


def names(found: Settings, model: str, surface: int = 0) -> list[str]:
    asked = Asked(body=b"", members={}, model=model)
    planned = router_of(found, None).plan(asked, SURFACES[surface], CHAT, None, NOW_US, 64)
    if planned.refusal:
        raise planned.refusal
    return [route.provider for route in planned.plan.routes]


def test_the_endpoints_of_a_model_are_tried_in_the_files_order() -> None:
    found = settings(providers=PROVIDERS, endpoints=ENDPOINTS)
    assert names(found, "m") == ["b", "a"]
    first, second = routes_of(found).by_model["m"]
    assert (first.upstream_model, first.key_holder, first.base_url) == ("m-2024", "ours", "http://b/v1")
    assert (second.upstream_model, second.key_holder, second.base_url) == ("m", "unknown", "http://a/v1")


def test_a_provider_without_endpoints_takes_any_other_model() -> None:
    found = settings(providers=PROVIDERS, endpoints=ENDPOINTS)
    assert names(found, "anything") == ["router"]  # `native` does not speak this operation
    assert routes_of(found).any_model[0].key_holder == "caller"


def test_without_a_file_each_surface_has_its_own_provider() -> None:
    assert names(settings(config=False), "m", 0) == ["openai"]
    assert names(settings(config=False), "m", 1) == ["openrouter"]


ALL = settings(providers=PROVIDERS, endpoints=ENDPOINTS)
ONLY_M = settings(providers={"a": PROVIDERS["a"]}, endpoints=ENDPOINTS[1:2])


@pytest.mark.parametrize(
    ("found", "model", "status", "code", "told"),
    [
        (settings(), "m", 503, "no_provider", "add [providers.NAME]"),
        (ONLY_M, "x", 404, "model_not_found", "known are m."),
        (ALL, "e", 404, "no_endpoint", "a does not serve this operation; add it"),
        (ALL, "claude", 404, "no_endpoint", "native speaks another dialect"),
    ],
)
def test_a_call_that_goes_nowhere_is_told_why(found: Settings, model: str, status: int, code: str, told: str) -> None:
    with pytest.raises(Refusal) as caught:
        names(found, model)
    assert (caught.value.problem.status, caught.value.problem.code) == (status, code)
    assert told in caught.value.problem.message


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.com", ""])
def test_an_address_beyond_loopback_needs_a_key(host: str) -> None:
    with pytest.raises(SettingsError, match="is not a loopback address") as caught:
        check_bind(host, has_key=False)
    assert caught.value.exit_code == 2
    check_bind(host, has_key=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    check_bind(host, has_key=False)


@pytest.mark.parametrize(("environ", "told"), [({}, "is not set"), ({"B_KEY": "a\nb"}, "holds no key")])
def test_a_providers_key_that_is_not_there_is_told_at_the_start(environ: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=rf"\[providers.b\] takes its key from B_KEY, which {told}"):
        own_keys(settings(providers=PROVIDERS), environ)
    assert own_keys(settings(providers=PROVIDERS), {"B_KEY": " k "}) == {"b": "k"}


@pytest.mark.parametrize(
    ("text", "mode", "told"),
    [
        ("sk-file-1\n", 0o600, None),
        ("sk-file-1", 0o400, None),
        ("sk-file-1", 0o640, "mode 640 lets others read it: run `chmod 600"),
        ("sk-file-1", 0o604, "mode 604 lets others read it"),
        ("", 0o600, "is empty"),
        ("a\nb", 0o600, "holds no key"),
        (None, 0, "cannot be read: No such file"),
    ],
)
def test_a_providers_key_may_be_in_a_file_that_others_cannot_read(
    tmp_path: Path, text: str | None, mode: int, told: str | None
) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
        (tmp_path / "key").chmod(mode)
    provider = Provider(base_url="http://b/v1", api_key_file=str(tmp_path / "key"))
    found = Settings(data_dir=HERE, ledger_url="sqlite://", config_path=tmp_path / "c.toml", providers={"b": provider})
    if told is None:
        assert own_keys(found, {}) == {"b": "sk-file-1"}
        return
    with pytest.raises(SettingsError, match=re.escape(told)) as caught:
        own_keys(found, {})
    assert "sk-file-1" not in str(caught.value)
