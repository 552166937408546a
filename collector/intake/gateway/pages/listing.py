"""The models that can be routed, with what is known of each: of the settings' endpoints, else of the price lists."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from collector.core.periods import SECOND_US
from collector.core.prices import PriceBook, PriceSet, Unpriced
from collector.intake.gateway.operations import Surface
from collector.ledger.book.cards import Card, load_cards
from collector.settings import Endpoint, Provider, Settings

KEPT_US = 3_600 * SECOND_US


class Offer(msgspec.Struct, frozen=True):
    """A model at a provider. Sizes in tokens; None: not known. `bands` are the sets for prompts of a larger size."""

    model: str
    provider: str
    upstream_model: str
    author_name: str  # as the card or the id names the model
    created: int = 0
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ("text",)
    output_modalities: tuple[str, ...] = ("text",)
    supported_parameters: tuple[str, ...] = ()
    operations: tuple[str, ...] | None = None
    quantization: str | None = None
    price: PriceSet | None = None
    bands: tuple[PriceSet, ...] = ()


Model = tuple[Offer, ...]  # a model at each provider that has it, in the settings' order


class Listing:
    """Made when it is first asked for, and again an hour later: prices change."""

    def __init__(self, settings: Settings, book: PriceBook | None) -> None:
        self._settings = settings
        self._book = book
        self._made_at: dict[tuple[str, ...], int] = {}
        self._models: dict[tuple[str, ...], dict[str, Model]] = {}

    def of(self, surface: Surface, now_us: int) -> dict[str, Model]:
        """The models by name.

        Without a settings file they are the catalogue of all lists: under OpenRouter's surface by its names, else those
        of the surface's own providers first.
        """
        built_in = surface.built_in if surface.is_openrouter else (*surface.built_in, *self._settings.built_in)
        made_at = self._made_at.get(built_in)
        if made_at is None or not 0 <= now_us - made_at < KEPT_US:
            self._models[built_in] = models_of(self._settings, self._book, built_in, now_us)
            self._made_at[built_in] = now_us
        return self._models[built_in]


def models_of(settings: Settings, book: PriceBook | None, built_in: tuple[str, ...], now_us: int) -> dict[str, Model]:
    """The models of the settings' endpoints, then those that price lists and cards know at providers that take any."""
    cards = {alias.lower(): card for card in load_cards().values() for alias in (card.id, *card.aliases)}
    found: dict[str, list[Offer]] = {}
    for endpoint in settings.endpoints:
        offer = _of_endpoint(endpoint, book, cards.get(endpoint.model.lower()), now_us)
        found.setdefault(offer.model, []).append(offer)
    for name, provider in _takes_any(settings, built_in).items():
        for offer in _listed(name, provider, book, cards, now_us) if book else ():
            found.setdefault(offer.model, []).append(offer)
    return {model: tuple(offers) for model, offers in found.items()}


def _takes_any(settings: Settings, built_in: tuple[str, ...]) -> dict[str, Provider]:
    if settings.config_path is None:
        return {name: settings.built_in[name] for name in dict.fromkeys(built_in)}
    listed = {endpoint.provider for endpoint in settings.endpoints}
    return {name: provider for name, provider in settings.providers.items() if name not in listed}


def _of_endpoint(endpoint: Endpoint, book: PriceBook | None, card: Card | None, now_us: int) -> Offer:
    upstream = endpoint.upstream_model or endpoint.model
    price = book.find(endpoint.model, endpoint.provider, now_us, served_model=upstream) if book else None
    offer = _carded(endpoint.model, endpoint.provider, upstream, card)
    return msgspec.structs.replace(
        offer,
        context_tokens=endpoint.context_tokens or offer.context_tokens,
        max_output_tokens=endpoint.max_output_tokens or offer.max_output_tokens,
        input_modalities=endpoint.input_modalities or offer.input_modalities,
        supported_parameters=endpoint.supported_parameters or (),
        operations=endpoint.operations,
        quantization=endpoint.quantization,
        price=None if isinstance(price, Unpriced) else price,
    )


def _listed(name: str, provider: Provider, book: PriceBook, cards: dict[str, Card], now_us: int) -> Iterator[Offer]:
    """What price lists and cards know at a provider that takes any model.

    A model of the long lists alone is priced by its sets there; where another source or a card names it, the book says.
    """
    at = [each for each in book.providers(name) if each]
    long, short = (_sold_at(at, book, is_long) for is_long in (True, False))
    stated = {*short, *({card.id for card in cards.values()} if provider.kind == "openrouter" else ())}
    for model in sorted({*long, *stated}):
        offer = _carded(model, name, model, cards.get(model.lower()))
        if model in stated or model.lower() in cards:
            found = book.find(model, name, now_us)
            yield msgspec.structs.replace(offer, price=None if isinstance(found, Unpriced) else found)
        else:
            sets = in_force(long[model], now_us)
            yield msgspec.structs.replace(offer, price=sets[0] if sets else None, bands=tuple(sets[1:]))


def _sold_at(providers: Collection[str], book: PriceBook, is_long: bool) -> dict[str, list[PriceSet]]:
    """The sets of sources that are long, or not, by model, at a provider of these names."""
    found: dict[str, list[PriceSet]] = {}
    for price_set in (s for source in book.sources if source.is_long is is_long for s in source.every()):
        if (price_set.provider or "").lower() in providers:
            found.setdefault(price_set.model, []).append(price_set)
    return found


def in_force(sets: Iterable[PriceSet], now_us: int) -> list[PriceSet]:
    """The standard sets that hold now: the one for any size first, then those for larger prompts, smallest first."""
    holding = [s for s in sets if s.tier is None and s.key is None and _holds(s, now_us) and not (s.hours or s.days)]
    by_size = {s.above_tokens: s for s in sorted(holding, key=lambda s: s.starts or 0)}
    return [by_size[size] for size in sorted(by_size)]


def _holds(s: PriceSet, at_us: int) -> bool:
    return (s.starts is None or s.starts <= at_us) and (s.until is None or at_us < s.until)


def _carded(model: str, provider: str, upstream: str, card: Card | None) -> Offer:
    if card is None:
        return Offer(model, provider, upstream, model)
    created = datetime(card.created.year, card.created.month, card.created.day, tzinfo=UTC) if card.created else None
    return Offer(
        model=model,
        provider=provider,
        upstream_model=upstream,
        author_name=card.name or model,
        created=int(created.timestamp()) if created else 0,
        context_tokens=card.context_tokens,
        max_output_tokens=card.max_output_tokens,
        input_modalities=card.input_modalities or ("text",),
        output_modalities=card.output_modalities or ("text",),
    )
