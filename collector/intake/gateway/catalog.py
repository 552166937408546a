"""The endpoints of each model with what is known of them: sizes, modalities, prices of the running quarter-hour."""

import msgspec

from collector.core.periods import QUARTER_S, SECOND_US
from collector.core.prices import PriceBook, PriceSet, Unpriced
from collector.intake.gateway.routing import Route, Routes
from collector.ledger.book.cards import Card

_ANY_PROMPT = 1 << 62  # tokens: more than any has
MAX_MODELS = 10_000  # names come from outside: the memory of them is bounded


class Catalog:
    """Looks a model's endpoints up once per quarter-hour: no price changes at any other time."""

    def __init__(self, routes: Routes, book: PriceBook | None = None, cards: dict[str, Card] | None = None) -> None:
        self.routes = routes
        self._book = book
        self._cards = cards or {}
        self._quarter = -1
        self._known: dict[tuple[str, str, tuple[str, ...]], tuple[Route, ...]] = {}

    def endpoints(self, model: str, suffix: str, built_in: tuple[str, ...], now_us: int) -> tuple[Route, ...]:
        """The endpoints of a model in the order of the settings: its own, else the providers that take any model.

        Empty where there is none. `built_in` are the providers that stand in where none is configured.
        """
        quarter = now_us // (QUARTER_S * SECOND_US)
        if quarter != self._quarter or len(self._known) >= MAX_MODELS:
            self._quarter = quarter
            self._known.clear()
        name = (model, suffix, built_in)
        found = self._known.get(name)
        if found is None:
            listed = self.routes.of(model, built_in)
            found = self._known[name] = tuple(self._filled(route, model, suffix, now_us) for route in listed)
        return found

    def _filled(self, route: Route, model: str, suffix: str, now_us: int) -> Route:
        """What the settings do not say of an endpoint that they list, its model's card does."""
        card = self._cards.get(self._book.names.model(model)) if self._book and route.is_listed else None
        if card is not None:
            route = msgspec.structs.replace(
                route,
                context_tokens=route.context_tokens or card.context_tokens,
                max_output_tokens=route.max_output_tokens or card.max_output_tokens,
                input_modalities=route.input_modalities or frozenset(card.input_modalities) or None,
            )
        priced = self._price_set(route, model, now_us)
        return msgspec.structs.replace(
            route,
            id=f"{route.provider} {route.upstream_model or model}",
            model=model,
            suffix=suffix,
            price_set=priced,
            long_price_sets=self._long_price_sets(route, model, now_us),
            price=_compared(priced) if priced else None,
        )

    def _price_set(self, route: Route, model: str, now_us: int, prompt_tokens: int = 0) -> PriceSet | None:
        """The set that a call would be charged by: under the asked name, else under the upstream's."""
        if self._book is None:
            return None
        upstream = route.upstream_model
        found = self._book.find(model, route.provider, now_us, prompt_tokens=prompt_tokens, served_model=upstream)
        return None if isinstance(found, Unpriced) else found

    def _long_price_sets(self, route: Route, model: str, now_us: int) -> tuple[PriceSet, ...]:
        found: list[PriceSet] = []
        priced = self._price_set(route, model, now_us, _ANY_PROMPT)
        while priced is not None and priced.above_tokens:
            found.append(priced)
            priced = self._price_set(route, model, now_us, priced.above_tokens)
        return tuple(found)


def _compared(price_set: PriceSet) -> int | None:
    prices = price_set.unit_prices
    return prices["input"] + prices["output"] if "input" in prices and "output" in prices else None
