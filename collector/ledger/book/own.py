"""The user's own price file, DIR/prices.toml: entries are added as they were written, or not at all."""

import os
from pathlib import Path

from collector.core.errors import PriceError
from collector.core.prices import PriceSet
from collector.core.prices.checks import problems
from collector.ledger.book.files import read_prices, refuse
from collector.ledger.book.genai import GenaiPrices
from collector.ledger.book.load import names_of, own_sets, shipped_sets
from collector.settings import Settings


def add_entries(settings: Settings, file: Path, target: Path) -> list[PriceSet]:
    """Append the text of a price file to the user's own and return its price sets.

    Raises PriceError, leaving the file as it was, when an entry contradicts another or is absurd beside any list.
    """
    new = read_prices(file, str(target))
    if not new:
        raise PriceError(f"{file} holds no [[prices]] entry")
    names = names_of(settings)
    listed = [s for model in {s.model for s in new} for s in GenaiPrices(names).everywhere(model)]
    refuse(file, problems([*own_sets(settings), *new], names, [*shipped_sets(), *listed]))
    _append(target, file.read_text(encoding="utf-8"))
    return new


def _append(target: Path, text: str) -> None:
    before = target.read_text(encoding="utf-8").rstrip() + "\n\n" if target.exists() else ""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    beside.write_text(before + text.strip() + "\n", encoding="utf-8")
    os.replace(beside, target)
