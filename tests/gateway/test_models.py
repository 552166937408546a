"""GET models and models/.../endpoints: what can be routed, at what price, and how it has fared."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files
from collector.core.prices.names import Names
from collector.core.uptime import Uptime
from collector.intake.gateway.errors import Refusal
from collector.intake.gateway.operations import SURFACES
from collector.intake.gateway.pages.listing import in_force, models_of
from collector.intake.gateway.pages.served import Asked, Sources
from collector.intake.gateway.pages.table import PAGES, find, handler_of
from collector.ledger.book import load_book
from collector.ledger.questions.ask import rows
from collector.ledger.questions.endpoints import fared, recent
from collector.settings import Endpoint, Provider, Settings
from tests.gateway.inside import Asking, inside
from tests.gateway.published import faults
from tests.stored import store
from tests.tables import calls, instant

OPENAI, OPENROUTER = SURFACES
NOW_US = instant("12:00")
URL = "http://127.0.0.1:9/v1"
SETS = (
    PriceSet("alpha/one", {"input": 1_000_000, "output": 2_000_000}, "test", provider="openai"),
    PriceSet("alpha/one", {"input": 500_000, "output": 2_000_000, "cache_read": 50_000}, "test", provider="azure"),
    PriceSet("beta/two", {"input": 0, "output": 0}, "test"),
    PriceSet("beta/image", {"input": 10_000_000, "images_in": 14_450_000_000}, "test", images="per image"),
)
BOOK = PriceBook([Files("test", SETS, Names())])
ENDPOINTS = (
    Endpoint("alpha/one", "openai", context_tokens=8_000, supported_parameters=("tools", "seed"), quantization="fp8"),
    Endpoint("alpha/one", "azure", upstream_model="one-deployed", supported_parameters=("tools",)),
    Endpoint("beta/two", "azure", context_tokens=200_000, max_output_tokens=4_096),
    Endpoint("beta/image", "azure", input_modalities=("text", "image")),
    Endpoint("gamma", "azure"),
)


def settings(folder: Path, endpoints: tuple[Endpoint, ...] = ENDPOINTS) -> Settings:
    return Settings(
        data_dir=folder,
        ledger_url=f"sqlite:///{folder / 'callmeter.db'}",
        config_path=folder / "callmeter.toml",
        providers={"openai": Provider(URL), "azure": Provider(URL)},
        endpoints=endpoints,
    )


def got(sources: Sources, path: str, query: str = "") -> Any:
    """What a page answers, decoded."""
    found = find(path)
    assert found is not None, path
    page, parts = found
    return json.loads(handler_of(page)(sources, Asked(page.surface, parts, query.encode(), NOW_US)).body)


def ids(sources: Sources, query: str = "") -> list[str]:
    return [model["id"] for model in got(sources, "/api/v1/models", query)["data"]]


def test_the_models_of_the_settings_are_listed_once_each_as_openrouter_lists_them(tmp_path: Path) -> None:
    body = got(Sources(settings(tmp_path), BOOK), "/api/v1/models")
    assert faults("/models", "get", 200, body) == []
    assert [model["id"] for model in body["data"]] == ["alpha/one", "beta/two", "beta/image", "gamma"]
    one, two, image, gamma = body["data"]
    assert one["pricing"] == {"prompt": "0.000001", "completion": "0.000002"}
    assert (one["context_length"], one["supported_parameters"]) == (8_000, ["seed", "tools"])
    assert two["pricing"] == {"prompt": "0", "completion": "0"}
    assert image["pricing"] == {"prompt": "0.00001", "completion": "0", "image": "0.01445"}
    assert image["architecture"]["modality"] == "text+image->text"
    assert gamma["pricing"] == {"prompt": "-1", "completion": "-1"}  # not known is not free
    assert (body["total_count"], body["links"]) == (4, {"next": None})


def test_and_as_openai_lists_them(tmp_path: Path) -> None:
    body = got(Sources(settings(tmp_path), BOOK), "/v1/models")
    assert (body["object"], [model["id"] for model in body["data"]]) == (
        "list",
        ["alpha/one", "beta/two", "beta/image", "gamma"],
    )
    assert {model["object"] for model in body["data"]} == {"model"}
    assert got(Sources(settings(tmp_path), BOOK), "/v1/models/alpha/one")["owned_by"] == "openai"


def test_without_a_settings_file_the_catalogue_of_cards_and_price_lists_is_listed(tmp_path: Path) -> None:
    bare = Settings(data_dir=tmp_path, ledger_url=f"sqlite:///{tmp_path / 'callmeter.db'}")
    sources = Sources(bare, load_book(bare))
    body = got(sources, "/api/v1/models")
    assert faults("/models", "get", 200, body) == []
    priced = {model["id"]: model for model in body["data"] if model["pricing"]["prompt"] != "-1"}
    assert len(priced) >= 300
    turbo = priced["openai/gpt-4-turbo"]
    assert turbo["pricing"] == {"prompt": "0.00001", "completion": "0.00003", "image": "0.01445"}
    assert (turbo["context_length"], turbo["created"]) == (128_000, 1_712_620_800)
    assert got(sources, "/api/v1/models/count") == {"data": {"count": len(body["data"])}}
    listed = [model["id"] for model in got(sources, "/v1/models")["data"]]
    assert (len(listed) >= 300, len(listed) == len(set(listed))) == (True, True)
    assert {"gpt-4-turbo", "openai/gpt-4-turbo"} <= set(listed)


FILTERED = {
    "": ["alpha/one", "beta/two", "beta/image", "gamma"],
    "q=TWO": ["beta/two"],
    "supported_parameters=tools,seed": ["alpha/one"],
    "input_modalities=image": ["beta/image"],
    "output_modalities=image": [],
    "output_modalities=all&context=100000": ["beta/two"],
    "max_price=0": ["beta/two"],
    "min_price=0.5&max_price=1": ["alpha/one"],
    "min_price=null&max_output_price=": ["alpha/one", "beta/two", "beta/image", "gamma"],
    "model_authors=beta": ["beta/two", "beta/image"],
    "providers=OpenAI": ["alpha/one"],
    "sort=pricing-low-to-high": ["beta/two", "alpha/one", "beta/image", "gamma"],
    "sort=pricing-high-to-low": ["beta/image", "alpha/one", "beta/two", "gamma"],
    "sort=context-high-to-low&limit=1": ["beta/two"],
    "offset=1&limit=2": ["beta/two", "beta/image"],
    "offset=9": [],
    "min_coding_index=1": [],  # what nobody knows holds of no model
    "x=1&utm=2": ["alpha/one", "beta/two", "beta/image", "gamma"],
}


@pytest.mark.parametrize("query", FILTERED)
def test_models_are_filtered_sorted_and_paged(query: str, tmp_path: Path) -> None:
    assert ids(Sources(settings(tmp_path), BOOK), query) == FILTERED[query]


def test_a_page_names_the_next_one(tmp_path: Path) -> None:
    sources = Sources(settings(tmp_path), BOOK)
    first = got(sources, "/api/v1/models", "q=a&limit=2")
    assert (first["total_count"], first["links"]["next"]) == (4, "/api/v1/models?q=a&offset=2&limit=2")
    assert got(sources, "/api/v1/models", "q=a&offset=2&limit=2")["links"]["next"] is None


WRONG = (
    "limit=0 limit=1001 limit=1.5 limit=%D9%A1 limit=null offset=-1 sort=best max_price=nan max_price=-1 zdr=no"
    " min_tool_success_rate=2 limit=1&limit=2 context=1e999 category=x q=" + "a" * 600
).split()


@pytest.mark.parametrize("query", WRONG)
def test_a_wrong_parameter_is_named(query: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        ids(Sources(settings(tmp_path), BOOK), query)
    assert (refusal.value.problem.status, refusal.value.problem.param) == (400, query.partition("=")[0])


def test_an_endpoint_has_its_own_price_and_an_unknown_model_is_not_found(tmp_path: Path) -> None:
    sources = Sources(settings(tmp_path), BOOK)
    body = got(sources, "/api/v1/models/alpha/one/endpoints")
    assert faults("/models/{author}/{slug}/endpoints", "get", 200, body) == []
    first, second = body["data"]["endpoints"]
    assert (first["provider_name"], first["tag"], first["quantization"]) == ("OpenAI", "openai", "fp8")
    assert (second["provider_name"], second["pricing"]["input_cache_read"]) == ("Azure", "0.00000005")
    assert (second["supports_implicit_caching"], second["uptime_last_1d"], second["status"]) == (True, None, 0)
    assert got(sources, "/v1/models/gamma/endpoints")["data"]["id"] == "gamma"
    with pytest.raises(Refusal, match="'alpha/none' is not listed"):
        got(sources, "/api/v1/models/alpha/none/endpoints")


def ledger(folder: Path) -> Engine:
    """Attempts at azure's deployment in three windows, and of another model, which do not count."""
    lines = ["11:58 azure one-deployed 10/100 ok 2000ms first_token_ms=100"] * 18
    lines += ["11:59 azure one-deployed - provider_fault"] * 2
    lines += ["11:40 azure one-deployed 10/100 ok 1000ms first_token_ms=100"] * 20
    lines += ["02:00 azure one-deployed - provider_fault"] * 40
    lines += ["11:58 azure other 10/10 ok 10ms"] * 50
    return store(folder, calls("\n".join(f"{line} user=u{n}" for n, line in enumerate(lines))), now_us=NOW_US)


def test_uptime_latency_and_throughput_come_from_the_own_ledger(tmp_path: Path) -> None:
    ledger(tmp_path).dispose()
    body = got(Sources(settings(tmp_path), BOOK), "/api/v1/models/alpha/one/endpoints")
    assert faults("/models/{author}/{slug}/endpoints", "get", 200, body) == []
    idle, used = body["data"]["endpoints"]
    assert (idle["uptime_last_30m"], idle["latency_last_30m"], idle["throughput_last_30m"]) == (None, None, None)
    assert (used["uptime_last_5m"], used["uptime_last_30m"], used["uptime_last_1d"]) == (90.0, 95.0, 47.5)
    assert used["status"] == 0
    assert used["latency_last_30m"]["p50"] == pytest.approx(100, rel=0.025)
    assert used["throughput_last_30m"]["p99"] == pytest.approx(50, rel=0.025)  # 99% were at least as fast
    assert used["throughput_last_30m"]["p50"] == pytest.approx(100, rel=0.025)


def test_windows_begin_with_the_cell_that_they_begin_in(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("11:54 azure m 1/1 ok\n11:55 azure m 1/1 ok\n11:59 azure m 1/1 ok"), now_us=NOW_US)
    found = fared(rows(engine, recent({"m"}, NOW_US)), NOW_US)
    assert (found.uptime["5m"], found.uptime["30m"]) == (Uptime(2, 0), Uptime(3, 0))


def test_of_several_sets_the_one_in_force_is_shown_and_larger_prompts_are_overrides() -> None:
    def price(usd: int, **more: Any) -> PriceSet:
        return PriceSet("m", {"input": usd}, "test", **more)

    sets = [
        price(1, until=NOW_US),
        price(2, starts=NOW_US - 1),
        price(3, starts=NOW_US + 1),
        price(4, tier="flex"),
        price(5, key="k"),
        price(6, above_tokens=200_000),
        price(7, hours=((0, 60),)),
    ]
    assert [s.prices["input"] for s in in_force(sets, NOW_US)] == [2, 6]


def test_a_provider_without_endpoints_takes_any_model_that_the_lists_know(tmp_path: Path) -> None:
    open_to_all = msgspec.structs.replace(settings(tmp_path), endpoints=ENDPOINTS[2:3])
    models = models_of(open_to_all, BOOK, (), NOW_US)
    assert {name: [offer.provider for offer in model] for name, model in models.items()} == {
        "beta/two": ["azure"],
        "alpha/one": ["openai"],
    }


def ask(folder: Path, path: str, then: Callable[[Any], None], method: str = "GET", query: bytes = b"") -> None:
    """One request to a gateway without a ledger; `then` gets what it answered."""

    async def main() -> None:
        async with inside(folder) as live:
            client = Asking(b"", path, method)
            client.scope["query_string"] = query
            await live.gateway(client.scope, client.receive, client.send)
            then(client.messages)

    asyncio.run(main())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_every_page_answers_before_there_is_a_ledger(page: Any, tmp_path: Path) -> None:
    def check(messages: list[Any]) -> None:
        assert messages[0]["status"] in (200, 400, 404), messages

    ask(tmp_path, page.path.replace("{", "").replace("}", "").replace("...", ""), check)


def test_a_page_is_read_and_not_written(tmp_path: Path) -> None:
    def check(messages: list[Any]) -> None:
        assert messages[0]["status"] == 405
        assert b"use GET" in messages[1]["body"]

    ask(tmp_path, "/v1/models", check, method="DELETE")


def test_what_goes_wrong_in_a_page_is_an_error_of_that_page(tmp_path: Path) -> None:
    (tmp_path / "callmeter.db").write_bytes(b"no database " * 100)

    async def main() -> None:
        async with inside(tmp_path) as live:
            sources = Sources(settings(tmp_path), BOOK)
            live.gateway._reading._sources = sources
            client = Asking(b"", "/api/v1/models/alpha/one/endpoints", "GET")
            await live.gateway(client.scope, client.receive, client.send)
            assert client.messages[0]["status"] in (200, 503)

    asyncio.run(main())
