"""load_book: the sources of prices, in their order."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from collector.core.errors import PriceError
from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files, Source
from collector.core.prices.checks import problems
from collector.core.prices.names import Names, at_host
from collector.ledger.book.cards import listed_providers, load_names
from collector.ledger.book.endpoints import SOURCE, endpoint_sets, image_rules, stated_sets
from collector.ledger.book.files import read_prices, refuse
from collector.ledger.book.genai import GenaiPrices
from collector.ledger.book.pulled import pulled_sets
from collector.resources import resource_dir
from collector.settings import Settings

OWN_FILE = "prices.toml"
PULLED, SHIPPED = "pulled", "data/prices"


def load_book(
    settings: Settings, pulled: Sequence[PriceSet] | None = None, own: Sequence[PriceSet] | None = None
) -> PriceBook:
    """The price book of these settings; `pulled` stands in for what the ledger has, `own` for DIR/prices.toml.

    genai-prices is read when a model is first asked for that no earlier source knows; a process that must not wait
    then calls `prepare` first. Raises PriceError naming the file and the entries that are wrong.
    """
    names = names_of(settings)
    own_entries, shipped = own_sets(settings) if own is None else own, shipped_sets()
    refuse(settings.data_dir / OWN_FILE, problems(own_entries, names, shipped))
    refuse(SHIPPED, problems(shipped, names))
    sources: list[Source] = [
        Files(OWN_FILE, own_entries, names, is_list=False),
        Files(PULLED, pulled_sets(settings) if pulled is None else pulled, names),
        Files(SHIPPED, shipped, names),
        GenaiPrices(names),
    ]
    refuse(settings.config_path or SOURCE, problems(stated_sets(settings.endpoints), names))
    endpoints = Files(SOURCE, endpoint_sets(settings.endpoints), names, is_list=False)
    return PriceBook(sources, names, endpoints, _routers(settings), image_rules(settings.endpoints))


def names_of(settings: Settings) -> Names:
    """The tables of names, with the user's providers: by the host they are reached at, else by their name."""
    names = load_names()
    found = {
        name.lower(): provider_id
        for name, provider in (*settings.built_in.items(), *settings.providers.items())
        if (provider_id := at_host(listed_providers(), provider.base_url))
    }
    return msgspec.structs.replace(names, providers={**names.providers, **found})


def own_sets(settings: Settings) -> list[PriceSet]:
    """The user's own price sets, from DIR/prices.toml where it exists."""
    path = settings.data_dir / OWN_FILE
    return bounded(read_prices(path, str(path)), path, settings) if path.exists() else []


def bounded(sets: list[PriceSet], path: Path, settings: Settings) -> list[PriceSet]:
    """The sets of a file. Raises PriceError where it has more of one model than may be: they are compared in pairs."""
    names, most = load_names(), settings.limits.max_prices_per_model
    for model, count in Counter(names.model(s.model) for s in sets).items():
        if count > most:
            raise PriceError(f"{path}: {count:,} prices of {model} are more than limits.max_prices_per_model, {most:,}")
    return sets


def shipped_sets() -> list[PriceSet]:
    """The price sets that travel with the code."""
    return [s for path in sorted(resource_dir(SHIPPED).glob("*.toml")) for s in read_prices(path, path.name)]


def _routers(settings: Settings) -> frozenset[str]:
    """Providers whose answers may come from another model than the endpoint's."""
    providers = {**settings.built_in, **settings.providers}
    return frozenset(name.lower() for name, provider in providers.items() if provider.kind == "openrouter")
