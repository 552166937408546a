"""Loading the price book: from callmeter.toml, the user's file, pulled lists, data/prices and genai-prices."""

from collector.ledger.book.cards import Card, Known, load_cards
from collector.ledger.book.known import known_of
from collector.ledger.book.load import load_book

__all__ = ["Card", "Known", "known_of", "load_book", "load_cards"]
