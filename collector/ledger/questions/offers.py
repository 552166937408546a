"""What is known of a model before any call: its card, and where it is sold, at which list price."""

from collections.abc import Iterable

import msgspec

from collector.core.prices import PriceSet, Unpriced
from collector.ledger.book import Known, known_of, load_book, load_cards
from collector.settings import Endpoint, Settings


class Offer(msgspec.Struct, frozen=True):
    """A model at a provider. `price` is the set in force for a small prompt at the standard tier."""

    provider: str
    endpoint: Endpoint | None = None  # of callmeter.toml
    price: PriceSet | None = None
    no_price: str = ""  # why there is none


class Catalog:
    """The endpoints of callmeter.toml, the cards of data/models and the price book, read once.

    Raises PriceError for a price file that cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._endpoints = settings.endpoints
        self._book = load_book(settings)

    def known(self, model: str) -> Known | None:
        """What is known of a model besides its prices, under whichever of its names."""
        return known_of(self._book, model)

    def offers(self, model: str, seen: Iterable[str], at_us: int) -> list[Offer]:
        """The model at every provider that callmeter.toml names for it, then at those where it was `seen`."""
        listed = {endpoint.provider: endpoint for endpoint in self._endpoints if endpoint.model == model}
        return [self._offer(model, name, listed.get(name), at_us) for name in dict.fromkeys((*listed, *seen))]

    def offer(self, model: str, provider: str, at_us: int) -> Offer:
        """The model at one provider, whether it is named for it or not; "" for what a call did not state."""
        named = (each for each in self._endpoints if (each.model, each.provider) == (model, provider))
        return self._offer(model, provider, next(named, None), at_us)

    def models(self) -> list[str]:
        """The models of callmeter.toml and those with a card, in order of name."""
        return sorted({*(endpoint.model for endpoint in self._endpoints), *load_cards()})

    def _offer(self, model: str, provider: str, endpoint: Endpoint | None, at_us: int) -> Offer:
        served = endpoint.upstream_model if endpoint else None
        found = self._book.find(model or None, provider or None, at_us, served_model=served)
        if isinstance(found, Unpriced):
            return Offer(provider, endpoint, no_price=found.reason)
        return Offer(provider, endpoint, found)
