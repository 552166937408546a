"""Plans: who is tried in what order and why; each case is a request, endpoints and the plan it gives."""

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.prices import PER_IMAGE, PriceSet
from collector.intake.gateway.asked import read_asked
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.health import Health, state_of
from collector.intake.gateway.need import Need, need_of
from collector.intake.gateway.operations import OPERATIONS
from collector.intake.gateway.planning import Limited, Plan, Request, plan, text_of
from collector.intake.gateway.routing import Route
from collector.intake.gateway.wishes import Wishes, read_wishes

CHAT = OPERATIONS[0]
NOW_US = 1_790_000_000_000_000
LATER_US = NOW_US + 1


def route(provider: str, usd: float | None = None, model: str = "m", **more: Any) -> Route:
    """An endpoint that costs `usd` per million tokens in and out; the pictures of one that `takes` them cost 1 USD."""
    unit = None if usd is None else round(usd * 1_000_000)
    prices = (
        None
        if unit is None
        else PriceSet(model, {"input": unit, "output": unit, "images_in": 10**12}, "t", images=PER_IMAGE)
    )
    given = {"kind": "openai", "base_url": "", "key_holder": "ours", "upstream_model": model, "model": model}
    given |= {"id": f"{provider} {model}", **more}
    return Route(provider, price_set=prices, price=None if unit is None else 2 * unit, **given)


def body(**members: object) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": [], **members})


def planned(
    routes: list[Route],
    health: dict[str, Health] | None = None,
    seed: int = 1,
    limited: bool = False,
    **members: object,
) -> Plan:
    asked = read_asked(body(**members), CHAT)
    request = Request(read_wishes(asked, 64), need_of(asked), limited=Limited(all=limited))
    known = {f"{provider} m": each for provider, each in (health or {}).items()}
    return plan(request, routes, known, NOW_US, seed)


def told(made: Plan) -> str:
    """`a, b (why) - c (why)`: tried in that order, then what was dropped."""
    parts = [
        ", ".join(f"{s.route.provider} ({s.why})" if s.why else s.route.provider for s in steps) for steps in _of(made)
    ]
    return " - ".join(filter(None, parts))


def _of(made: Plan) -> tuple[Any, ...]:
    return made.steps, made.dropped


SMALL = route("small", context_tokens=1000, max_output_tokens=100)
DEAR, CHEAP, FREE = route("dear", 30), route("cheap", 10), route("free", 0)
PLAIN, VISION = (
    route("plain", input_modalities=frozenset({"text"})),
    route("vision", input_modalities=frozenset({"text", "image"})),
)
LISTS = route("lists", supported_parameters=frozenset({"tools", "max_tokens", "temperature"}))
BARE = route("bare", supported_parameters=frozenset({"temperature"}))
A, B, C = route("a"), route("b"), route("c")
EU = route("azure/eu")
ROUTER = route("router", kind="openrouter")
DENIES = route("denies", data_collection="deny", quantization="fp8")
EMBEDS = route("embeds", operations=("embeddings",))
NATIVE = route("native", kind="anthropic")
PICTURE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]
SOUND = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A" * 900, "format": "wav"}}]}]
LONG = [{"role": "user", "content": "word " * 1300}]  # 6,500 bytes: at least 1,083 tokens, at most 2,167
TIGHT = [{"role": "user", "content": "word " * 700}]

CASES: dict[str, tuple[list[Route], dict[str, Any], str]] = {
    "the order of the settings": ([A, B, C], {}, "a, b, c"),
    "equal prices keep it": ([route("x", 5), route("y", 5)], {}, "x, y"),
    "an unknown price keeps it": ([DEAR, A, CHEAP], {}, "dear, a, cheap"),
    "free comes first": ([DEAR, FREE], {}, "free, dear"),
    "another operation": ([EMBEDS, A], {}, "a - embeds (does not serve this operation)"),
    "another dialect": ([NATIVE, A], {}, "a - native (speaks another dialect)"),
    "order": ([A, B, C], {"provider": {"order": ["c", "b"]}}, "c, b, a"),
    "order, in capitals": ([A, B, C], {"provider": {"order": ["C"]}}, "c, a, b"),
    "order names all regions": ([A, EU], {"provider": {"order": ["azure"]}}, "azure/eu, a"),
    "order without fallbacks": (
        [A, B, C],
        {"provider": {"order": ["c", "b"], "allow_fallbacks": False}},
        "c, b - a (is not in order)",
    ),
    "no fallbacks": ([A, B], {"provider": {"allow_fallbacks": False}}, "a - b (no fallbacks allowed)"),
    "only": ([A, B, EU], {"provider": {"only": ["b", "azure"]}}, "b, azure/eu - a (is not among only)"),
    "only is left to a router": ([A, ROUTER], {"provider": {"only": ["x"]}}, "router - a (is not among only)"),
    "ignore": ([A, B], {"provider": {"ignore": ["a"]}}, "b - a (is to be ignored)"),
    "data collection": ([A, DENIES], {"provider": {"data_collection": "deny"}}, "denies - a (may collect data)"),
    "zero data retention": ([A, ROUTER], {"provider": {"zdr": True}}, "router - a (does not state a data policy)"),
    "quantizations": ([A, DENIES], {"provider": {"quantizations": ["fp8"]}}, "denies - a (has another quantization)"),
    "unknown quantization": (
        [A, DENIES],
        {"provider": {"quantizations": ["unknown"]}},
        "a - denies (has another quantization)",
    ),
    "sort by price": ([A, DEAR, CHEAP], {"provider": {"sort": "price"}}, "cheap, dear, a"),
    "sort by exacto": ([BARE, A, LISTS], {"provider": {"sort": "exacto"}}, "lists, a, bare"),
    "exacto draws nothing": ([DEAR, CHEAP], {"model": "m:exacto"}, "dear, cheap"),
    "floor": ([DEAR, CHEAP], {"model": "m:floor"}, "cheap, dear"),
    "sort as an object": ([DEAR, CHEAP], {"provider": {"sort": {"by": "price"}}}, "cheap, dear"),
    "max price": (
        [DEAR, CHEAP],
        {"provider": {"max_price": {"prompt": 10, "completion": "10.0"}}},
        "cheap - dear (is dearer than max_price)",
    ),
    "max price of images": ([DEAR], {"provider": {"max_price": {"image": 0.5}}}, "dear (is dearer than max_price)"),
    "max price, none known": (
        [A, CHEAP],
        {"provider": {"max_price": {"prompt": 10}}},
        "cheap - a (has no known price)",
    ),
    "prompt too long": ([SMALL, A], {"messages": LONG}, "a - small (has too small a context)"),
    "prompt may be too long": ([SMALL, A], {"messages": TIGHT}, "a, small (context may be too small)"),
    "prompt and answer may be too long": (
        [route("tight", context_tokens=1000), A],
        {"max_tokens": 999},
        "a, tight (context may be too small)",
    ),
    "answer too long": ([SMALL, A], {"max_completion_tokens": 101}, "a - small (answers too little at once)"),
    "an inline picture is no text": (
        [SMALL],
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 90_000}}],
                }
            ]
        },
        "small",
    ),
    "pictures": ([PLAIN, VISION, A], {"messages": PICTURE}, "vision, a - plain (does not take such input)"),
    "sound": ([VISION, A], {"messages": SOUND}, "a - vision (does not take such input)"),
    "tools, best effort": ([BARE, LISTS], {"tools": []}, "lists, bare (does not list tools)"),
    "required parameters": (
        [BARE, A, LISTS],
        {"tools": [], "max_completion_tokens": 5, "provider": {"require_parameters": True}},
        "lists, a (parameters are not known) - bare (lacks a parameter)",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_request_and_its_plan(name: str) -> None:
    routes, members, expected = CASES[name]
    assert told(planned(routes, **members)).removeprefix(" - ") == expected


DOWN, DEGRADED, FAILING = Health("down"), Health("degraded"), Health("failing")
WAITING = Health(wait_until_us=LATER_US)
FAST = Health(latency_s={"p50": 0.1, "p90": 0.2}, throughput={"p50": 90.0, "p90": 20.0})
SLOW = Health(latency_s={"p50": 0.4, "p90": 3.0}, throughput={"p50": 30.0, "p90": 25.0})

HEALTHS: dict[str, tuple[list[Route], dict[str, Health], dict[str, Any], str]] = {
    "what failed of late is last": ([A, B], {"a": FAILING}, {}, "b, a (failing)"),
    "by how bad it is": (
        [A, B, C, EU],
        {"a": DOWN, "b": FAILING, "c": DEGRADED},
        {},
        "azure/eu, c (degraded), b (failing), a (down)",
    ),
    "all down are tried all the same": ([A, B], {"a": DOWN, "b": DOWN}, {}, "a (down), b (down)"),
    "an order asked for is kept": ([A, B], {"a": DOWN}, {"provider": {"order": ["a"]}}, "a (down), b"),
    "a sort keeps the failing last": (
        [CHEAP, DEAR],
        {"cheap": FAILING},
        {"provider": {"sort": "price"}},
        "dear, cheap (failing)",
    ),
    "a cheap one that fails is last": ([CHEAP, DEAR], {"cheap": FAILING}, {}, "dear, cheap (failing)"),
    "retry-after": ([A, B], {"a": WAITING}, {}, "b - a (asked to wait)"),
    "retry-after is over": ([A, B], {"a": Health(wait_until_us=NOW_US)}, {}, "a, b"),
    "a caller's wait is its own": ([route("a", key_holder="caller"), B], {"a": WAITING}, {}, "a, b"),
    "sort by latency": ([A, B, C], {"b": SLOW, "c": FAST}, {"provider": {"sort": "latency"}}, "c, b, a"),
    "nitro": ([A, B, C], {"b": SLOW, "c": FAST}, {"model": "m:nitro"}, "c, b, a"),
    "preferred latency": (
        [A, B, C],
        {"a": SLOW, "b": FAST},
        {"provider": {"preferred_max_latency": 0.2}},
        "b, c, a (slower than preferred)",
    ),
    "preferred throughput": (
        [A, B, C],
        {"a": SLOW, "b": FAST},
        {"provider": {"preferred_min_throughput": {"p90": 21}}},
        "a, c, b (slower than preferred)",
    ),
}


@pytest.mark.parametrize("name", HEALTHS)
def test_how_endpoints_fared_moves_them(name: str) -> None:
    routes, health, members, expected = HEALTHS[name]
    assert told(planned(routes, health, **members)) == expected


def test_under_a_limit_what_has_no_price_is_dropped() -> None:
    assert told(planned([A, CHEAP], limited=True)) == "cheap - a (has no known price)"


def test_models_are_tried_in_their_order_unless_sorted_across() -> None:
    routes = [route("a", 30), route("b", 20), route("a", 10, model="n")]

    def order(**members: object) -> list[tuple[str, str]]:
        made = planned(routes, models=["m", "n"], **members)
        return [(each.provider, each.model) for each in made.routes]

    assert order(provider={"sort": "price"}) == [("b", "m"), ("a", "m"), ("a", "n")]
    assert order(provider={"sort": {"by": "price", "partition": "none"}}) == [("a", "n"), ("b", "m"), ("a", "m")]


def test_a_dollar_is_nine_times_likelier_than_three() -> None:
    first = Counter(
        planned([route("three", 3), route("one", 1)], seed=seed).steps[0].route.provider for seed in range(5000)
    )
    assert 4400 < first["one"] < 4600  # 9 of 10; the seeds are fixed, so is the count


def test_a_session_goes_where_it_was_served_unless_that_fails() -> None:
    asked = read_asked(body(), CHAT)
    request = Request(read_wishes(asked, 64), need_of(asked), session_route="c m")
    assert told(plan(request, [A, B, C], {}, NOW_US, 1)) == "c, a, b"
    assert told(plan(request, [A, B, C], {"c m": FAILING}, NOW_US, 1)) == "a, b, c (failing)"


def test_what_is_recorded_has_no_numbers_and_few_forms() -> None:
    routes = [route("x", 1), route("y", 2), route("z", 3), A]
    texts = {text_of(planned(routes[:3], seed=seed), routes[:3]) for seed in range(300)}
    assert texts == {
        '{"by":"draw by price","endpoints":[["x","first"],["y","kept"],["z","kept"]]}',
        '{"by":"draw by price","endpoints":[["y","first"],["x","kept"],["z","kept"]]}',
        '{"by":"draw by price","endpoints":[["z","first"],["x","kept"],["y","kept"]]}',
    }
    made = planned([A, B, C], {"a": DOWN}, provider={"ignore": ["c"]})
    assert text_of(made, [A, B, C]) == (
        '{"by":"order of the settings",'
        '"endpoints":[["b","first"],["a","last: down"],["c","dropped: is to be ignored"]]}'
    )
    many = [route(f"p{n}") for n in range(300)]
    assert len(text_of(planned(many), many)) < 1000


def test_several_models_are_named_in_what_is_recorded() -> None:
    routes = [route("a"), route("a", model="n")]
    assert text_of(planned(routes, models=["n"]), routes) == (
        '{"by":"order of the settings","endpoints":[["a","first","m"],["a","kept","n"]]}'
    )


routes_strategy = st.lists(
    st.builds(
        route,
        st.sampled_from("abcdef"),
        st.none() | st.integers(0, 5),
        key_holder=st.sampled_from(["ours", "caller"]),
        context_tokens=st.none() | st.integers(1, 50),
        quantization=st.sampled_from(["fp8", "unknown"]),
        supported_parameters=st.none() | st.just(frozenset({"tools"})),
    ),
    max_size=8,
)
wishes_strategy = st.builds(
    Wishes,
    models=st.just((("m", ""),)),
    order=st.lists(st.sampled_from("abx"), max_size=2, unique=True).map(tuple),
    only=st.lists(st.sampled_from("abcdefx"), max_size=5).map(tuple),
    ignore=st.lists(st.sampled_from("ax"), max_size=1).map(tuple),
    allow_fallbacks=st.booleans(),
    require_parameters=st.booleans(),
    quantizations=st.sampled_from([(), ("fp8",)]),
    sort=st.sampled_from(["", "price", "latency", "throughput", "exacto"]),
)
health_strategy = st.dictionaries(
    st.sampled_from([f"{name} m" for name in "abcdef"]),
    st.builds(Health, st.sampled_from(["", "degraded", "failing", "down"]), st.sampled_from([0, LATER_US])),
)


@given(routes_strategy, wishes_strategy, health_strategy, st.integers(0, 2**64 - 1), st.booleans())
def test_every_endpoint_is_in_a_plan_once_and_the_same_arguments_give_the_same_plan(
    routes: list[Route], wishes: Wishes, health: dict[str, Health], seed: int, limited: bool
) -> None:
    request = Request(
        wishes, Need(least_tokens=10, most_tokens=20, parameters=frozenset({"tools"})), limited=Limited(all=limited)
    )
    made = plan(request, routes, health, NOW_US, seed)
    placed = [id(step.route) for step in (*made.steps, *made.dropped)]
    assert sorted(placed) == sorted(map(id, routes))
    assert plan(request, routes, health, NOW_US, seed) == made
    assert all(step.why for step in made.dropped)
    if not wishes.order:
        late = [bool(step.why) for step in made.steps]
        assert late == sorted(late)  # what is put last stands last


@pytest.mark.parametrize(
    ("counts", "state"),
    [
        ((0, 0, 0, 0), ""),
        ((0, 1, 0, 1), "failing"),  # one failure of one attempt, just now
        ((9, 0, 0, 0), ""),
        ((5, 4, 0, 0), ""),  # fewer than ten say nothing
        ((95, 5, 0, 0), ""),
        ((94, 6, 0, 0), "degraded"),
        ((80, 20, 0, 0), "degraded"),
        ((79, 21, 0, 0), "down"),
        ((95, 5, 19, 1), ""),
        ((95, 5, 18, 1), "failing"),
        ((94, 6, 10, 1), "failing"),
    ],
)
def test_the_state_of_an_endpoint(counts: tuple[int, int, int, int], state: str) -> None:
    assert state_of(*counts) == state


@pytest.mark.parametrize(
    ("members", "param", "named"),
    [
        ({"provider": "openai"}, "provider", "got `str`"),
        ({"provider": {"order": "openai"}}, "provider.order", "got `str`"),
        ({"provider": {"order": [1]}}, "provider.order[0]", "got `int`"),
        ({"provider": {"sort": "speed"}}, "provider.sort", "'speed'"),
        ({"provider": {"sort": {"by": "speed"}}}, "provider.sort.by", "'speed'"),
        ({"provider": {"quantizations": ["int3"]}}, "provider.quantizations", "'int3'"),
        ({"provider": {"max_price": {"prompts": 1}}}, "provider.max_price", "'prompts'"),
        ({"provider": {"max_price": {"prompt": "ten"}}}, "provider.max_price[...]", "Invalid decimal"),
        ({"provider": {"max_price": {"prompt": "NaN"}}}, "provider.max_price.prompt", "NaN"),
        ({"provider": {"data_collection": "no"}}, "provider.data_collection", "'no'"),
        ({"provider": {"preferred_max_latency": {"p95": 1}}}, "provider.preferred_max_latency", "p95"),
        ({"provider": {"only": ["x"] * 65}}, "provider.only", "max_routing_names = 64"),
        ({"models": "m"}, "models", "list of model names"),
        ({"models": ["x"] * 65}, "models", "max_routing_names = 64"),
    ],
)
def test_a_wrong_wish_is_refused_by_name(members: dict[str, object], param: str, named: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_wishes(read_asked(body(**members), CHAT), 64)
    problem = caught.value.problem
    assert (problem.status, problem.param) == (400, param)
    assert f"`{param}`" in problem.message
    assert named in problem.message


def test_wishes_of_a_plain_request_are_none() -> None:
    assert read_wishes(read_asked(body(provider=None, models=None), CHAT), 64) == Wishes(models=(("m", ""),))


@pytest.mark.parametrize(
    ("members", "choices"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": 2, "best_of": 5}, 5),
        ({"n": 2, "prompt": "a"}, 2),
        ({"n": 2, "prompt": ["a", "b", "c"]}, 6),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
        ({"n": "2", "best_of": None, "prompt": {}}, 1),
    ],
)
def test_every_answer_that_is_paid_for_is_counted(members: dict[str, object], choices: int) -> None:
    assert need_of(read_asked(body(**members), CHAT)).choices == choices


def test_a_prompt_that_may_be_written_into_a_cache_is_known_as_such() -> None:
    text = [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    cached = [{"role": "user", "content": text}]
    assert need_of(read_asked(body(messages=cached), CHAT)).writes_cache
    assert not need_of(read_asked(body(), CHAT)).writes_cache


def test_what_a_request_needs() -> None:
    asked = read_asked(body(max_tokens=5, max_completion_tokens=7, tools=[], n=1, messages=PICTURE), CHAT)
    length = len(asked.body)
    assert need_of(asked) == Need(
        least_tokens=length // 6,
        most_tokens=-(-length // 3),
        max_tokens=7,
        images=1,
        modalities=frozenset({"image"}),
        parameters=frozenset({"max_tokens", "tools", "n"}),
    )
    assert need_of(read_asked(body(max_tokens="many"), CHAT)).max_tokens is None
