"""load_book: the sources of prices, in their order."""

import msgspec

from collector.core.prices import PriceBook, PriceSet
from collector.core.prices.book import Files, Source
from collector.core.prices.names import Names, at_host
from collector.ledger.book.cards import listed_providers, load_names
from collector.ledger.book.files import read_prices
from collector.resources import resource_dir
from collector.settings import Settings

OWN_FILE = "prices.toml"


def load_book(settings: Settings, pulled: tuple[PriceSet, ...] = ()) -> PriceBook:
    """The price book of these settings. Raises PriceError naming the file and the entries that are wrong."""
    names = names_of(settings)
    sources: list[Source] = [
        Files("your own file", own_sets(settings), names),
        Files("pulled", pulled, names),
        Files("data/prices", shipped_sets(), names),
    ]
    return PriceBook(sources, names)


def names_of(settings: Settings) -> Names:
    """The tables of names, with the user's providers: by the host they are reached at, else by their name."""
    names = load_names()
    found = {
        name.lower(): provider_id
        for name, provider in settings.providers.items()
        if (provider_id := at_host(listed_providers(), provider.base_url))
    }
    return msgspec.structs.replace(names, providers={**names.providers, **found})


def own_sets(settings: Settings) -> list[PriceSet]:
    """The user's own price sets, from DIR/prices.toml where it exists."""
    path = settings.data_dir / OWN_FILE
    return read_prices(path, str(path)) if path.exists() else []


def shipped_sets() -> list[PriceSet]:
    """The price sets that travel with the code."""
    return [s for path in sorted(resource_dir("data/prices").glob("*.toml")) for s in read_prices(path, path.name)]
