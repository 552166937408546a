"""The plan that is made ready once is the plan that the rules give, text and all."""

from typing import Any

import msgspec
from hypothesis import given, target
from hypothesis import strategies as st

from collector.intake.gateway.health import Health
from collector.intake.gateway.need import Need
from collector.intake.gateway.operations import OPERATIONS, Operation
from collector.intake.gateway.planning import Request, plan, text_of
from collector.intake.gateway.routing import Route
from collector.intake.gateway.usual import Usual, all_well
from collector.intake.gateway.wishes import Wishes

NOW_US = 1_790_000_000_000_000
BOUNDS = st.none() | st.integers(1, 50)


def route(provider: str, price: int | None, **more: Any) -> Route:
    return Route(provider, base_url="", id=f"{provider} m", upstream_model="m", model="m", price=price, **more)


routes_strategy = st.lists(
    st.builds(
        route,
        st.sampled_from("abcdef"),
        st.none() | st.integers(0, 5),
        kind=st.sampled_from(["openai", "openai", "openrouter", "anthropic"]),
        key_holder=st.sampled_from(["ours", "caller"]),
        operations=st.sampled_from([("chat",), ("chat", "embeddings"), ("messages",)]),
        context_tokens=BOUNDS,
        max_output_tokens=BOUNDS,
        input_modalities=st.none() | st.sampled_from([frozenset[str](), frozenset({"image", "audio"})]),
        supported_parameters=st.none() | st.sampled_from([frozenset[str](), frozenset({"tools", "seed"})]),
    ),
    max_size=6,
).map(tuple)
needs = st.builds(
    Need,
    least_tokens=st.just(0),
    most_tokens=st.integers(0, 30),
    max_tokens=st.none() | st.integers(1, 30),
    modalities=st.sampled_from([frozenset[str](), frozenset({"image"}), frozenset({"video"})]),
    parameters=st.sampled_from([frozenset[str](), frozenset({"tools"}), frozenset({"seed"})]),
)
healths = st.dictionaries(
    st.sampled_from([f"{name} m" for name in "abcdef"]),
    st.builds(Health, st.sampled_from(["", "", "", "failing"]), st.sampled_from([0, 0, NOW_US, NOW_US + 1])),
)


@given(routes_strategy, st.sampled_from(OPERATIONS), needs, healths, st.lists(st.integers(0, 2**64 - 1), min_size=3))
def test_it_is_the_plan_of_the_rules(
    routes: tuple[Route, ...], operation: Operation, need: Need, health: dict[str, Health], seeds: list[int]
) -> None:
    need = msgspec.structs.replace(need, least_tokens=need.most_tokens // 2)
    usual = Usual(routes, operation)
    is_usual = usual.fits(need) and all_well(health, NOW_US)
    target(float(is_usual) * len(routes))
    request = Request(Wishes(models=(("m", ""),)), need, operation.name, operation.kinds)
    for seed in seeds if is_usual else ():
        by_rules = plan(request, routes, health, NOW_US, seed)
        assert usual.made(seed) == (by_rules, text_of(by_rules, routes))
        assert usual.made(seed) is usual.made(seed)


def test_what_one_endpoint_cannot_take_is_not_usual() -> None:
    small = route("a", 1, kind="openai", key_holder="ours", context_tokens=10, supported_parameters=frozenset({"seed"}))
    large = route("b", 1, kind="openai", key_holder="ours")
    usual = Usual((small, large), OPERATIONS[0])
    assert usual.fits(Need(most_tokens=10))
    assert not usual.fits(Need(most_tokens=11))
    assert not usual.fits(Need(most_tokens=10, max_tokens=1))
    assert not usual.fits(Need(parameters=frozenset({"tools"})))
    assert not Usual((), OPERATIONS[0]).fits(Need())


def test_a_fault_or_a_wait_is_not_usual() -> None:
    assert all_well({"a m": Health(), "b m": Health("", NOW_US)}, NOW_US)
    assert not all_well({"a m": Health(), "b m": Health("degraded")}, NOW_US)
    assert not all_well({"a m": Health("", NOW_US + 1)}, NOW_US)
