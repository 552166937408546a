"""Budgets: reserved before a call, settled after it, never passed, whatever ends and whoever dies."""

import asyncio
import contextlib
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.budgets import Budget
from collector.core.calls import Call, Quality
from collector.core.outcomes import Outcome
from collector.core.prices import PER_IMAGE, PriceSet
from collector.intake.gateway.claims import counted_by, dearest, limited_by, that_apply
from collector.intake.gateway.need import Need
from collector.intake.gateway.planning import Limited
from collector.intake.gateway.routing import Route
from collector.intake.gateway.shared import budgets
from collector.intake.gateway.shared.budgets import Claim
from collector.intake.gateway.shared.keys import create
from collector.intake.gateway.shared.state import _TABLES, State
from collector.intake.gateway.shared.workers import Presence, is_alive, sweep
from collector.ledger.journal import Writer
from collector.settings import Endpoint, Limits
from tests.gateway.inside import ANSWER, QUESTION, STREAMED, Asking, Inside, Script, calls, inside, plain
from tests.gateway.test_keys import bearer, book_of
from tests.stored import store

NOW_US = 1_790_000_000_000_000
HOUR_US = 3_600_000_000
USD = 10**12
PRICED = (Endpoint("m", "one", input_usd_per_m=1, output_usd_per_m=2, max_output_tokens=100, context_tokens=1000),)
COST = 12 * 10**6 + 5 * 2 * 10**6  # of the answer's 12 and 5 tokens
RESERVE = (-(-len(json.dumps(QUESTION)) // 3)) * 10**6 + 100 * 2 * 10**6  # about 0.00023 USD


def asked(folder: Path, what: Callable[[Inside], Awaitable[None]], *scripts: bytes | Script, **options: Any) -> None:
    endpoints = options.setdefault("endpoints", PRICED)

    async def run() -> None:
        async with inside(folder, *scripts, book=book_of(endpoints, folder), **options) as gateway:
            await asyncio.wait_for(what(gateway), 20)

    asyncio.run(run())


def spent(folder: Path, budget: Budget) -> tuple[int, int]:
    """What is spent and reserved of a budget now."""
    with contextlib.closing(State(folder / "state.db").connect()) as connection:
        found = budgets.standing(connection, budget, "UTC", time.time_ns() // 1000)
    return found.spent, found.reserved


ALL = Budget("all", "month", USD)


@pytest.mark.parametrize("scope", ["all", "app:web", "user:u-1", "model:m", "provider:one"])
def test_what_a_call_cost_is_spent_and_what_it_held_is_free_again(tmp_path: Path, scope: str) -> None:
    budget, other = Budget(scope, "month", USD), Budget("app:other", "month", USD)

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION, x_title="web")).status == 200

    asked(tmp_path, what, plain(ANSWER), budgets=(budget, other))
    assert spent(tmp_path, budget) == (COST, 0)
    assert spent(tmp_path, other) == (0, 0)


def test_a_cost_so_absurd_that_the_ledger_calls_it_unpriced_is_not_told_and_not_spent(tmp_path: Path) -> None:
    absurd = {**ANSWER, "usage": {"prompt_tokens": 10**12, "completion_tokens": 10**12}}
    dear = (msgspec.structs.replace(PRICED[0], input_usd_per_m=30, output_usd_per_m=60),)

    async def what(gateway: Inside) -> None:
        first, second = await gateway.ask(QUESTION), await gateway.ask(QUESTION)
        assert (first.status, second.status) == (200, 200)
        assert "x-callmeter-cost-usd" not in first.headers

    asked(tmp_path, what, plain(absurd), plain(ANSWER), budgets=(ALL,), endpoints=dear)
    assert spent(tmp_path, ALL) == (30 * COST, 0)


def test_a_budget_that_is_used_up_refuses_and_one_that_is_short_says_so(tmp_path: Path) -> None:
    budget = Budget("all", "day", RESERVE + COST)

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION)).status == 200
        assert (await gateway.ask(QUESTION)).status == 200
        short = await gateway.ask(QUESTION, "/api/v1/chat/completions")
        assert (short.status, short.error["code"]) == (402, 402)
        assert "this call may cost" in short.error["message"]
        assert (await gateway.ask({**QUESTION, "max_tokens": 1})).status == 200
        with State(tmp_path / "state.db").once() as connection:
            budgets.spend(connection, budget, RESERVE, "UTC", calls(tmp_path)[0].started_at)
        used_up = await gateway.ask({**QUESTION, "max_tokens": 1})
        assert (used_up.status, used_up.error["code"]) == (403, "limit_exceeded")
        assert "wait for the next day" in used_up.error["message"]

    asked(tmp_path, what, *[plain(ANSWER)] * 3, budgets=(budget,))
    refused = [call for call in calls(tmp_path) if call.outcome is Outcome.REFUSED]
    assert [(call.error_type, call.attempts) for call in refused] == [("limit_exceeded", ())] * 2


def test_a_keys_limit_is_its_own(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")
    poor, text = create(state, "a", NOW_US, limit=RESERVE - 1, period="month")
    rich, other = create(state, "b", NOW_US, limit=USD, period="week")

    async def what(gateway: Inside) -> None:
        refused = await gateway.ask(QUESTION, **bearer(text))
        assert (refused.status, refused.error["code"]) == (402, "limit_exceeded")
        assert "(this key)" in refused.error["message"]
        assert (await gateway.ask(QUESTION, **bearer(other))).status == 200

    asked(tmp_path, what, plain(ANSWER))
    assert poor.budget is not None
    assert rich.budget is not None
    assert spent(tmp_path, poor.budget) == (0, 0)
    assert spent(tmp_path, rich.budget) == (COST, 0)


def test_a_long_prompt_holds_what_long_prompts_cost(tmp_path: Path) -> None:
    base = '[[prices]]\nmodel = "m"\ninput_usd_per_m = 1\noutput_usd_per_m = 2\n'
    (tmp_path / "prices.toml").write_text(f"{base}\n{base.replace('= 1', '= 10')}above_tokens = 10\n")

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION)).status == 402

    unpriced = (Endpoint("m", "one", max_output_tokens=100, context_tokens=1000),)
    asked(tmp_path, what, plain(ANSWER), budgets=(Budget("all", "month", RESERVE),), endpoints=unpriced)


def test_under_a_limit_an_unpriced_endpoint_is_not_asked(tmp_path: Path) -> None:
    endpoints = (Endpoint("m", "one"), Endpoint("m", "two", input_usd_per_m=1, output_usd_per_m=1))

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION)).headers["x-callmeter-provider"] == "two"
        refused = await gateway.ask({**QUESTION, "provider": {"only": ["one"]}})
        assert (refused.status, refused.error["code"]) == (403, "unpriced")

    asked(tmp_path, what, b"", then=(plain(ANSWER),), endpoints=endpoints, budgets=(ALL,))


def test_a_providers_budget_that_is_used_up_leaves_the_other_providers(tmp_path: Path) -> None:
    two = tuple(Endpoint("m", name, input_usd_per_m=1, output_usd_per_m=2) for name in ("one", "two"))
    limited = Budget("provider:one", "day", 1)

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION)).headers["x-callmeter-provider"] == "two"

    asked(tmp_path, what, b"", then=(plain(ANSWER),), endpoints=two, budgets=(limited, ALL))
    (call,) = calls(tmp_path)
    assert call.plan == (
        '{"by":"order of the settings","endpoints":[["two","first"],["one","dropped: is over its budget"]]}'
    )
    assert spent(tmp_path, limited) == (0, 0)
    assert spent(tmp_path, ALL) == (COST, 0)


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A provider that takes the request and never answers."""


def test_an_upstream_that_routes_by_models_is_told_of_none_whose_budget_is_used_up(tmp_path: Path) -> None:
    both = (*PRICED, msgspec.structs.replace(PRICED[0], model="n"))

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask({**QUESTION, "models": ["m", "n"]})).status == 200
        assert gateway.providers["one"].bodies[0]["models"] == ["m"]

    budget = Budget("model:n", "month", RESERVE - 1)
    asked(tmp_path, what, plain(ANSWER), budgets=(budget,), endpoints=both, provider={"kind": "openrouter"})


def test_calls_that_run_hold_their_reservation_and_broken_ones_give_it_back(tmp_path: Path) -> None:
    budget = Budget("all", "month", 2 * RESERVE)

    async def what(gateway: Inside) -> None:
        running = [Asking(QUESTION) for _ in range(2)]
        tasks = [asyncio.create_task(gateway.gateway(c.scope, c.receive, c.send)) for c in running]
        while len(gateway.providers["one"].requests) < 2:
            await asyncio.sleep(0.01)
        assert spent(tmp_path, budget) == (0, 2 * RESERVE)
        assert (await gateway.ask(QUESTION)).status == 402
        for client in running:
            client.leave()
        await asyncio.gather(*tasks)
        assert spent(tmp_path, budget) == (0, 0)
        assert (await gateway.ask(STREAMED)).status == 200

    asked(tmp_path, what, silence, silence, plain(ANSWER), budgets=(budget,))


def test_a_window_begins_with_what_the_ledger_says(tmp_path: Path) -> None:
    now = time.time_ns() // 1000
    call = Call(
        "0" * 32, "gateway", now, Outcome.OK, model="m", provider="one", app="web",
        meters={"input": 5}, quality=Quality.EXACT, cost=777,
    )  # fmt: skip
    store(tmp_path, [call]).dispose()
    found = [Budget(scope, "day", USD) for scope in ("all", "app:web", "app:x", "user:u", "provider:one")]

    async def what(gateway: Inside) -> None:
        pass

    asked(tmp_path, what, b"", budgets=tuple(found), ledger_url=f"sqlite:///{tmp_path}/callmeter.db")
    assert [spent(tmp_path, budget)[0] for budget in found] == [777, 777, 0, 0, 777]


def test_a_dead_workers_reservations_are_settled_from_its_journal(tmp_path: Path) -> None:
    """One call ended before the worker died, one was cut, one never began; another worker still holds its own."""
    now = time.time_ns() // 1000
    ended, cut, never = (f"{n:032x}" for n in (1, 2, 3))
    fields = {"source": "gateway", "started_at": now, "model": "m", "provider": "one"}
    writer = Writer(tmp_path / "journal", "gateway", Limits(), "interval")
    tickets = [writer.open(Call(call_id, outcome=Outcome.INTERRUPTED, **fields)) for call_id in (ended, cut)]  # type: ignore[arg-type]
    done = Call(ended, outcome=Outcome.OK, meters={"input": 12, "output": 5}, quality=Quality.EXACT, **fields)  # type: ignore[arg-type]
    writer.close(tickets[0], done)
    writer.stop()
    with State(tmp_path / "state.db").once() as connection:
        for call_id in (ended, cut, never):
            assert budgets.reserve(connection, call_id, "4711-dead", [Claim(ALL, RESERVE)], "UTC", now) is None
    assert spent(tmp_path, ALL) == (0, 3 * RESERVE)

    async def what(gateway: Inside) -> None:
        shared = gateway.gateway._shared
        with State(tmp_path / "state.db").once() as connection:
            budgets.reserve(connection, "f" * 32, shared._name, [Claim(ALL, 5)], "UTC", now)
        await shared._save()
        assert spent(tmp_path, ALL) == (COST, 5)

    asked(tmp_path, what, b"", budgets=(ALL,))


def test_a_damaged_ledger_stops_neither_calls_nor_limits(tmp_path: Path) -> None:
    (tmp_path / "callmeter.db").write_bytes(b"SQLite format 3\0" + b"no ledger at all" * 1000)

    async def what(gateway: Inside) -> None:
        assert (await gateway.ask(QUESTION)).status == 200
        await gateway.gateway._shared._save()
        assert (await gateway.ask({**QUESTION, "max_tokens": 10**9})).status == 402

    unbounded = (msgspec.structs.replace(PRICED[0], max_output_tokens=None),)
    url = f"sqlite:///{tmp_path}/callmeter.db"
    asked(tmp_path, what, plain(ANSWER), budgets=(ALL,), ledger_url=url, endpoints=unbounded)
    assert spent(tmp_path, ALL) == (COST, 0)


def test_the_signs_of_life_of_dead_workers_are_taken_away(tmp_path: Path) -> None:
    alive = Presence(tmp_path)
    (tmp_path / "4711-dead.alive").touch()
    sweep(tmp_path)
    assert [path.stem for path in tmp_path.iterdir()] == [alive.name]
    assert (is_alive(tmp_path, alive.name), is_alive(tmp_path, "4711-dead")) == (True, False)
    alive.end()
    assert not is_alive(tmp_path, alive.name)


WRITTEN = {"cache_write_5m": 4, "cache_write_1h": 6}
PRICES = PriceSet("m", {"input": 3, "output": 5, "images_in": 1000, "requests": 7} | WRITTEN, "t", images=PER_IMAGE)
BARE = PriceSet("m", {"input": 3, "output": 5}, "t")
LONG = PriceSet("m", {"input": 30, "output": 50}, "t", above_tokens=10)
HUGE = PriceSet("m", {"input": 300, "output": 500}, "t", above_tokens=100)


def route(**more: Any) -> Route:
    return Route("p", "openai", "", "ours", **{"model": "m", "price_set": PRICES, **more})


@pytest.mark.parametrize(
    ("route", "need", "picousd"),
    [
        (route(), Need(most_tokens=10, max_tokens=20), 10 * 3 + 20 * 5 + 7),
        (route(), Need(most_tokens=10, max_tokens=20, choices=3, images=2), 10 * 3 + 60 * 5 + 7 + 2000),
        (route(context_tokens=4, max_output_tokens=30), Need(most_tokens=10), 4 * 3 + 30 * 5 + 7),
        (route(), Need(most_tokens=10), 10 * 3 + 4096 * 5 + 7),
        (route(), Need(most_tokens=10, max_tokens=20, writes_cache=True), 10 * 6 + 20 * 5 + 7),
        (route(price_set=BARE), Need(most_tokens=10, max_tokens=20, writes_cache=True), 10 * 3 + 20 * 5),
        (route(long_price_sets=(HUGE, LONG)), Need(most_tokens=10, max_tokens=20), 10 * 3 + 20 * 5 + 7),
        (route(long_price_sets=(HUGE, LONG)), Need(most_tokens=11, max_tokens=20), 11 * 30 + 20 * 50),
        (route(long_price_sets=(HUGE, LONG)), Need(most_tokens=101, max_tokens=20), 101 * 300 + 20 * 500),
        (route(price_set=None), Need(most_tokens=10), None),
        (route(price_set=PriceSet("m", {"input": 3}, "t")), Need(most_tokens=10), None),
    ],
)
def test_what_a_call_may_cost(route: Route, need: Need, picousd: int | None) -> None:
    assert dearest([route], need, "chat") == picousd


def test_the_dearest_endpoint_counts_and_embeddings_answer_in_no_tokens() -> None:
    cheap = route(price_set=PriceSet("m", {"input": 1, "output": 1}, "t"))
    assert dearest([cheap, route()], Need(most_tokens=10, max_tokens=20), "chat") == 137
    assert dearest([route(price_set=PriceSet("m", {"input": 3}, "t"))], Need(most_tokens=10), "embeddings") == 30


def test_which_budgets_apply() -> None:
    listed = [Budget(s, "day", 1) for s in ("all", "app:a", "app:b", "key:k", "user:u", "model:m", "provider:p")]
    applying = that_apply(listed, {"app": "a", "key": "k", "user": None})
    assert [budget.scope for budget in applying] == ["all", "app:a", "key:k", "model:m", "provider:p"]
    assert limited_by(applying) == Limited(True, frozenset({"m"}), frozenset({"p"}))
    assert not limited_by([])
    ended = Call("0" * 32, "gateway", 1, Outcome.OK, model="m", provider="q")
    assert [budget.scope for budget in counted_by(applying, ended)] == ["all", "app:a", "key:k", "model:m"]


def memory() -> Any:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(_TABLES)
    return connection


@given(
    st.lists(
        st.tuples(st.sampled_from(["reserve", "settle"]), st.integers(0, 5), st.integers(0, 60), st.integers(0, 60)),
        max_size=30,
    )
)
def test_no_budget_is_ever_passed_by_calls_that_cost_what_they_held_at_most(steps: list[Any]) -> None:
    connection, budget, held, total = memory(), Budget("all", "day", 100), {}, 0
    for kind, n, most, cost in steps:
        if kind == "reserve" and n not in held:
            if budgets.reserve(connection, str(n), "w", [Claim(budget, most)], "UTC", NOW_US) is None:
                held[n] = most
            else:
                assert total + sum(held.values()) + most > 100
        elif kind == "settle" and n in held:
            paid = min(cost, held.pop(n))
            budgets.settle(connection, str(n), paid, [budget], "UTC", NOW_US)
            budgets.settle(connection, str(n), paid, [budget], "UTC", NOW_US)  # twice is once
            total += paid
        found = budgets.standing(connection, budget, "UTC", NOW_US)
        assert (found.spent, found.reserved) == (total, sum(held.values()))
        assert found.spent + found.reserved <= 100


def test_a_new_window_begins_at_nothing_and_an_old_call_belongs_to_its_own() -> None:
    connection, budget, day = memory(), Budget("all", "day", 100), 24 * HOUR_US
    budgets.spend(connection, budget, 60, "UTC", NOW_US)
    assert budgets.standing(connection, budget, "UTC", NOW_US + day).spent == 0
    budgets.spend(connection, budget, 5, "UTC", NOW_US + day)
    budgets.spend(connection, budget, 7, "UTC", NOW_US)  # began yesterday
    assert budgets.standing(connection, budget, "UTC", NOW_US + day).spent == 5
    assert budgets.standing(connection, budget, "UTC", NOW_US).spent == 5  # a clock set back frees nothing
    budgets.begin(connection, budget, 50, "UTC", NOW_US + day)
    assert budgets.standing(connection, budget, "UTC", NOW_US + day).spent == 5  # known already
