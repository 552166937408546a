"""Gateway keys: who is let in, to what, how often; and that no key is written anywhere."""

import asyncio
import os
import sqlite3
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from openrouter.operations.getcurrentkey import GetCurrentKeyResponse

from collector.cli import main
from collector.core.calls import Call
from collector.core.errors import StateError, UsageError
from collector.core.outcomes import Outcome
from collector.intake.gateway.shared import budgets, rates
from collector.intake.gateway.shared.keys import PREFIX, Key, all_keys, create, digest_of, disable
from collector.intake.gateway.shared.state import _TABLES, VERSION, State
from collector.settings import Endpoint, Provider, Settings
from tests.gateway.inside import ANSWER, QUESTION, Answered, Asking, Inside, calls, inside, plain
from tests.stored import store

NOW_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000
FAR_US = 4_000_000_000_000_000


def state_of(folder: Path) -> State:
    return State(folder / "state.db")


def asked(folder: Path, what: Callable[[Inside], Awaitable[None]], *scripts: bytes, **options: Any) -> None:
    async def run() -> None:
        async with inside(folder, *scripts, **options) as gateway:
            await asyncio.wait_for(what(gateway), 20)

    asyncio.run(run())


def bearer(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


def test_a_key_lets_its_app_in_and_is_not_sent_on(tmp_path: Path) -> None:
    key, text = create(state_of(tmp_path), "web", NOW_US)

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION, x_title="Another", **bearer(text))).status == 200
        (request,) = gateway.providers["one"].requests
        assert text.encode() not in request
        assert b"sk-ours-123456" in request

    asked(tmp_path, what, plain(ANSWER), provider={"api_key_env": "K"})
    (call,) = calls(tmp_path)
    assert (call.key, call.app, call.app_title) == (key.id, "web", None)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/chat/completions", "/v1/models", "/metrics"])
def test_once_a_key_exists_every_request_needs_one(tmp_path: Path, path: str) -> None:
    create(state_of(tmp_path), "web", NOW_US)

    async def what(gateway: Inside) -> None:
        method = "POST" if path.endswith("completions") else "GET"
        for headers in ({}, bearer("sk-cm-wrong"), {"x_api_key": "sk-cm-wrong"}, {"authorization": "Basic abc"}):
            client = Asking(QUESTION, path, method, **headers)
            await gateway.gateway(client.scope, client.receive, client.send)
            answered = Answered(client.messages)
            assert answered.status == 401
            assert "x-callmeter-call-id" not in answered.headers
            assert "wrong" not in answered.body.decode()
        for page in ("/healthz", "/readyz"):
            client = Asking(b"", page, "GET")
            await gateway.gateway(client.scope, client.receive, client.send)
            assert Answered(client.messages).status == 200
        assert gateway.gateway.refusals == {"invalid_api_key": 4}

    asked(tmp_path, what, b"")
    assert calls(tmp_path) == []  # counted, never stored


def test_what_was_turned_away_is_counted_by_minute_and_reason(tmp_path: Path) -> None:
    with state_of(tmp_path).once() as connection:
        minute = NOW_US // rates.MINUTE_US
        rates.add_turned_away(connection, {(minute, "invalid_api_key"): 2, (minute, "foreign_host"): 5}, NOW_US)
        rates.add_turned_away(connection, {(minute, "invalid_api_key"): 1, (minute - 10, "foreign_host"): 9}, NOW_US)
        assert rates.turned_away(connection, NOW_US) == {"foreign_host": 5, "invalid_api_key": 3}
        assert rates.turned_away(connection, NOW_US - 11 * rates.MINUTE_US) == {
            "foreign_host": 14,
            "invalid_api_key": 3,
        }
        rates.add_turned_away(connection, {}, NOW_US + 9 * DAY_US)
        assert rates.turned_away(connection, rates.MINUTE_US) == {}
        assert rates.turned_away(connection, 0) == {"foreign_host": 14, "invalid_api_key": 3}  # ever


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"disabled_us": 1}, "is disabled"), ({"expires_us": NOW_US + 1}, "has expired")],
)
def test_a_key_that_is_over_lets_nobody_in(tmp_path: Path, changed: dict[str, int], told: str) -> None:
    state = state_of(tmp_path)
    key, text = create(state, "web", NOW_US, expires_us=changed.get("expires_us"))
    if "disabled_us" in changed:
        disable(state, key.id, NOW_US)

    async def what(gateway: Inside) -> None:
        answered = await gateway.ask(QUESTION, **bearer(text))
        assert answered.status == 401
        assert told in answered.error["message"]

    asked(tmp_path, what, b"")


def test_a_key_made_or_disabled_meanwhile_counts_within_a_second(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        shared = gateway.gateway._shared
        assert (await gateway.ask(QUESTION)).status == 200
        key, text = create(state_of(tmp_path), "web", NOW_US)
        await shared._save()
        assert (await gateway.ask(QUESTION)).status == 401
        assert (await gateway.ask(QUESTION, **bearer(text))).status == 200
        disable(state_of(tmp_path), key.id, NOW_US)
        await shared._save()
        assert (await gateway.ask(QUESTION, **bearer(text))).status == 401

    asked(tmp_path, what, plain(ANSWER), plain(ANSWER))


def test_a_gateway_that_had_keys_stays_closed_when_its_file_is_gone(tmp_path: Path) -> None:
    create(state_of(tmp_path), "web", NOW_US)

    async def what(gateway: Inside) -> None:
        for path in tmp_path.glob("state.db*"):
            path.unlink()
        await gateway.gateway._shared._save()
        assert (await gateway.ask(QUESTION)).status == 401

    asked(tmp_path, what, b"")


def test_only_the_models_of_a_key_may_be_asked_for(tmp_path: Path) -> None:
    _, text = create(state_of(tmp_path), "web", NOW_US, models=("N",))

    async def what(gateway: Inside) -> None:
        refused = await gateway.ask(QUESTION, **bearer(text))
        assert (refused.status, refused.error["code"]) == (403, "permission_denied")
        answered = await gateway.ask({**QUESTION, "models": ["m", "n"]}, **bearer(text))
        assert (answered.status, answered.headers["x-callmeter-provider"]) == (200, "two")

    two = (Endpoint("m", "one"), Endpoint("n", "two"))
    asked(tmp_path, what, b"", then=(plain(ANSWER),), endpoints=two)
    assert [call.outcome for call in calls(tmp_path)] == [Outcome.REFUSED, Outcome.OK]


@pytest.mark.parametrize(
    ("stated", "sent"),
    [
        ({"model": "n", "models": ["m", "n", "n:nitro"]}, {"model": "n", "models": ["n", "n:nitro"]}),
        ({"models": ["m", "n"]}, {"model": "n", "models": ["n"]}),
        ({"model": "n", "models": ["m"]}, {"model": "n", "models": None}),
    ],
)
def test_an_upstream_that_routes_by_models_is_told_of_none_that_the_key_does_not_allow(
    stated: dict[str, object], sent: dict[str, object], tmp_path: Path
) -> None:
    _, text = create(state_of(tmp_path), "web", NOW_US, models=("n",))

    async def what(gateway: Inside) -> None:
        answered = await gateway.ask({"messages": QUESTION["messages"], **stated}, **bearer(text))
        assert answered.status == 200
        (body,) = gateway.providers["one"].bodies
        assert {name: body.get(name) for name in sent} == sent

    asked(tmp_path, what, plain(ANSWER), provider={"kind": "openrouter"})


def test_a_key_makes_so_many_calls_a_minute(tmp_path: Path) -> None:
    key, text = create(state_of(tmp_path), "web", NOW_US, rpm=2)

    async def what(gateway: Inside) -> None:
        with state_of(tmp_path).once() as connection:  # the minute may turn while the test runs
            connection.execute("INSERT INTO rates VALUES (?, ?, 2)", (key.id, FAR_US // rates.MINUTE_US))
            assert rates.count(connection, key.id, FAR_US) == 3
        shared = gateway.gateway._shared
        shared.count(key, FAR_US + rates.MINUTE_US)
        shared.count(key, FAR_US + rates.MINUTE_US)
        with pytest.raises(Exception, match="may make 2 calls a minute") as caught:
            shared.count(key, FAR_US + rates.MINUTE_US)
        assert caught.value.problem.status == 429  # type: ignore[attr-defined]
        shared.count(key, FAR_US + 2 * rates.MINUTE_US)
        assert (await gateway.ask(QUESTION, **bearer(text))).status == 200

    asked(tmp_path, what, plain(ANSWER))


@pytest.mark.parametrize(("after_s", "left"), [(0, 60), (0.5, 60), (59, 1), (59.9, 1)])
def test_retry_after_is_what_is_left_of_the_minute(after_s: float, left: int) -> None:
    assert rates.seconds_left(NOW_US // rates.MINUTE_US * rates.MINUTE_US + round(after_s * 1e6)) == left


def test_without_keys_the_callers_own_goes_to_who_takes_it_but_a_gateway_key_never(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        await gateway.ask(QUESTION, **bearer("sk-of-the-caller"))
        await gateway.ask(QUESTION, **bearer(PREFIX + "made-by-another-gateway"))
        first, second = gateway.providers["one"].requests
        assert b"sk-of-the-caller" in first
        assert PREFIX.encode() not in second

    asked(tmp_path, what, plain(ANSWER), plain(ANSWER), provider={"pass_key": True})
    assert [bool(call.key) for call in calls(tmp_path)] == [True, False]


def test_neither_gateway_keys_nor_providers_keys_are_in_any_file(tmp_path: Path) -> None:
    _, text = create(state_of(tmp_path), "web", NOW_US, limit=10**12, period="day")
    secrets = (text.encode(), text.removeprefix(PREFIX).encode(), b"sk-ours-123456")
    echo = plain({"error": {"message": "bad key sk-ours-123456", "code": "x"}}, 400)

    async def what(gateway: Inside) -> None:
        for _ in range(2):
            answered = await gateway.ask(QUESTION, **bearer(text))
            assert not [secret for secret in secrets if secret in answered.body]
        await gateway.gateway._shared._save()

    own = (Endpoint("m", "one", input_usd_per_m=1, output_usd_per_m=1),)
    asked(
        tmp_path, what, plain(ANSWER), echo, provider={"api_key_env": "K"}, endpoints=own, book=book_of(own, tmp_path)
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"state.db"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        assert not [secret for secret in secrets if secret in data], path


def book_of(endpoints: tuple[Endpoint, ...], folder: Path) -> Any:
    from collector.ledger.book import load_book

    providers = {endpoint.provider: Provider(base_url="http://127.0.0.1:9") for endpoint in endpoints}
    return load_book(Settings(data_dir=folder, ledger_url="sqlite://", providers=providers, endpoints=endpoints))


def test_keys_come_back_as_they_were_made(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    plain_key, text = create(state, "a", NOW_US)
    full, _ = create(state, "b", NOW_US + 1, expires_us=FAR_US, models=("M", "n:free"), rpm=5, limit=3, period="week")
    with state.once() as connection:
        assert all_keys(connection) == [plain_key, full]
    assert plain_key.digest == digest_of(text)
    assert len(text) == len(PREFIX) + 43
    assert full.models == ("m", "n:free")
    assert stat.S_IMODE(os.stat(state.path).st_mode) == 0o600


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"app": ""}, "'' is not the name of an app"),
        ({"app": "a\nb"}, "is not the name of an app"),
        ({"app": "a", "models": ("",)}, "is not a list of models"),
        ({"app": "a", "models": ()}, "is not a list of models"),
        ({"app": "a", "expires_us": NOW_US}, "would have expired already"),
    ],
)
def test_a_key_that_cannot_be_is_not_made(tmp_path: Path, what: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        create(state_of(tmp_path), what.pop("app"), NOW_US, **what)
    assert not (tmp_path / "state.db").exists()


def test_the_state_of_a_key() -> None:
    key = Key("k-1", b"d", "a", NOW_US, expires_us=NOW_US + 5)
    assert [key.state(NOW_US + n) for n in (4, 5)] == ["active", "expired"]
    assert Key("k-1", b"d", "a", NOW_US, disabled_us=1).state(NOW_US) == "disabled"


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StateError, match=r"is damaged: .*move the file away"):
        state_of(tmp_path).connect()


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    connection = state_of(tmp_path).connect()
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StateError, match="version 99, newer than this callmeter"):
        state_of(tmp_path).connect()


def test_a_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db")
    connection.executescript(_TABLES)
    connection.execute("PRAGMA user_version = 1")
    connection.execute("INSERT INTO spent VALUES ('all', 'day', 1, 7)")
    connection.commit()
    connection.close()
    with state_of(tmp_path).once() as opened:
        assert opened.execute("SELECT picousd FROM spent").fetchall() == [(7,)]
        assert opened.execute("SELECT * FROM sessions").fetchall() == []
        assert opened.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_locked_file_refuses_what_has_to_be_counted_and_nothing_else(tmp_path: Path) -> None:
    state = state_of(tmp_path)
    _, text = create(state, "a", NOW_US, rpm=9)
    _, other = create(state, "b", NOW_US)

    async def what(gateway: Inside) -> None:
        connection = state.connect()
        connection.execute("BEGIN EXCLUSIVE")
        refused = await gateway.ask(QUESTION, **bearer(text))
        assert (refused.status, refused.error["code"]) == (503, "limits_unavailable")
        assert (await gateway.ask(QUESTION, **bearer(other))).status == 200
        connection.execute("ROLLBACK")
        connection.close()
        assert (await gateway.ask(QUESTION, **bearer(text))).status == 200

    asked(tmp_path, what, plain(ANSWER), plain(ANSWER))


@pytest.mark.parametrize("prefix", ["/v1", "/api/v1"])
def test_a_key_tells_what_was_spent_with_it_and_what_is_left(tmp_path: Path, prefix: str) -> None:
    made, text = create(state_of(tmp_path), "web", NOW_US, limit=3 * 10**12, period="week", rpm=60, expires_us=FAR_US)
    now = time.time_ns() // 1000
    spent = [
        Call(f"{n:032x}", "gateway", now, Outcome.OK, model="m", key=key, meters={"input": 1}, cost=n * 10**9)
        for n, key in ((5, made.id), (7, None))
    ]
    store(tmp_path, spent).dispose()
    with state_of(tmp_path).once() as connection:
        assert made.budget is not None
        budgets.spend(connection, made.budget, 10**12, "UTC", now)

    async def what(gateway: Inside) -> None:
        client = Asking(b"", f"{prefix}/key", "GET", **bearer(text))
        await gateway.gateway(client.scope, client.receive, client.send)
        told = GetCurrentKeyResponse.model_validate(Answered(client.messages).json).data  # the SDK's own, strict
        assert told.label == f"{made.id} (web)"
        assert (told.limit, told.limit_remaining, told.limit_reset) == (3, 2, "weekly")
        assert {told.usage, told.usage_daily, told.usage_weekly, told.usage_monthly} == {0.005}
        assert (told.rate_limit.requests, told.rate_limit.interval) == (60, "1m")
        assert told.expires_at is not None
        assert [(each.scope, each.spend_usd, each.remaining_usd) for each in told.budgets] == [("key_limit", 1, 2)]
        assert text not in Answered(client.messages).body.decode()

    asked(tmp_path, what, b"", ledger_url=f"sqlite:///{tmp_path}/callmeter.db")


def test_without_keys_the_calls_without_one_are_told(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        client = Asking(b"", "/api/v1/key", "GET")
        await gateway.gateway(client.scope, client.receive, client.send)
        told = GetCurrentKeyResponse.model_validate(Answered(client.messages).json).data
        assert (told.label, told.limit, told.usage, told.budgets) == ("no key", None, 0, [])

    asked(tmp_path, what, b"")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    return lambda *words: CliRunner().invoke(main, ["--data-dir", str(tmp_path), "keys", *words])


def test_the_command_shows_a_key_once_and_lists_it_without(tmp_path: Path, run: Callable[..., Result]) -> None:
    assert "There are no keys" in run("list").stdout
    assert not (tmp_path / "state.db").exists()
    made = run("create", "--app", "web", "--limit-usd", "2.50", "--period", "day", "--rpm", "7", "--models", "a/b, c")
    text = made.stdout.strip()
    assert text.startswith(PREFIX)
    with state_of(tmp_path).once() as connection:
        (key,) = all_keys(connection)
    assert (key.app, key.limit, key.period, key.rpm, key.models) == ("web", 2_500_000_000_000, "day", 7, ("a/b", "c"))
    assert key.digest == digest_of(text)
    listed = run("list").stdout
    assert text not in listed
    assert listed.splitlines()[1].split() == [
        key.id, "web", "active", listed.splitlines()[1].split()[3], "-", "2.5", "a", "day", "0", "7", "a/b,", "c",
    ]  # fmt: skip
    assert f"{key.id} for web is disabled" in run("disable", key.id).stdout
    assert "disabled" in run("list").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("create",), "--app"),
        (("create", "--app", "a", "--period", "day"), "--limit-usd"),
        (("create", "--app", "a", "--limit-usd", "0"), "0 USD is not a limit"),
        (("create", "--app", "a", "--limit-usd", "ten"), "'ten' is not an amount"),
        (("create", "--app", "a", "--expires", "2026-13-01"), "'2026-13-01' is not a day"),
        (("create", "--app", "a", "--expires", "2020-01-01"), "would have expired already"),
        (("create", "--app", "a", "--rpm", "0"), "--rpm"),
        (("create", "--app", "a", "--models", "a,,b"), "is not a list of models"),
        (("disable", "k-1"), "there is no key 'k-1'"),
    ],
)
def test_a_wrong_command_is_told_in_one_line(run: Callable[..., Result], words: tuple[str, ...], told: str) -> None:
    done = run(*words)
    assert done.exit_code in (1, 2)
    assert told in done.stderr


@pytest.mark.parametrize("limit", ["ten", "nan", "", "0"])
def test_a_limit_that_is_none_is_wrong_use(run: Callable[..., Result], limit: str) -> None:
    assert run("create", "--app", "a", "--limit-usd", limit).exit_code == 2
