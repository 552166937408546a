"""What is known of a model besides its prices: by its card, else by the list that knows most models."""

from collector.core.prices import PriceBook
from collector.ledger.book.cards import Known, load_cards
from collector.ledger.book.genai import GenaiPrices, package_version
from collector.ledger.book.genai_rows import PACKAGE


def known_of(book: PriceBook, model: str) -> Known | None:
    """The card of a model under whichever of its names, or what genai-prices says of it. Raises PriceError."""
    wanted = book.names.model(model)
    card = next((card for name, card in load_cards().items() if name.lower() == wanted), None)
    return card or _listed(book, model)


def _listed(book: PriceBook, model: str) -> Known | None:
    for source in book.sources:
        if isinstance(source, GenaiPrices) and (listed := source.about(model)):
            return Known(
                id=model,
                source=f"{PACKAGE} {package_version()}",
                name=listed.name,
                description=listed.description,
                context_tokens=listed.context_tokens,
            )
    return None
