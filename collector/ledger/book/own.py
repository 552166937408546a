"""The user's own price file, DIR/prices.toml: entries are added as they were written, or not at all."""

import os
from pathlib import Path

from collector.core.errors import PriceError
from collector.core.prices import PriceSet
from collector.core.prices.checks import problems
from collector.ledger.book.files import read_prices, refuse
from collector.ledger.book.genai import GenaiPrices
from collector.ledger.book.load import bounded, names_of, own_sets, shipped_sets
from collector.locks import hold
from collector.settings import Settings

_WAIT_S = 30.0


def add_entries(settings: Settings, file: Path, target: Path) -> list[PriceSet]:
    """Append the text of a price file to the user's own and return its price sets.

    Raises PriceError, leaving the file as it was, when an entry contradicts another or is absurd beside any list;
    LockHeld when another process adds entries and does not end.
    """
    new = read_prices(file, str(target))
    if not new:
        raise PriceError(f"{file} holds no [[prices]] entry")
    target.parent.mkdir(parents=True, exist_ok=True)
    with hold(target.with_name(f".{target.name}.lock"), "prices add", _WAIT_S):
        _check(settings, file, new)
        _append(target, file.read_text(encoding="utf-8"), [*own_sets(settings), *new])
    return new


def _check(settings: Settings, file: Path, new: list[PriceSet]) -> None:
    names = names_of(settings)
    together = bounded([*own_sets(settings), *new], file, settings)
    long_list = GenaiPrices(names)
    listed = [s for model in {s.model for s in new} for s in long_list.everywhere(model)]
    refuse(file, problems(together, names, [*shipped_sets(), *listed]))


def _append(target: Path, text: str, expected: list[PriceSet]) -> None:
    """Replaces the file by itself and the text behind it, once that reads as what both say."""
    before = target.read_text(encoding="utf-8").rstrip() + "\n\n" if target.exists() else ""
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.write_text(before + text.strip() + "\n", encoding="utf-8")
        if not _reads_as(beside, str(target), expected):
            raise PriceError(
                f"the entries cannot stand behind those of {target}: write each under a line [[prices]] of its own"
            )
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)


def _reads_as(path: Path, source: str, expected: list[PriceSet]) -> bool:
    try:
        return read_prices(path, source) == expected
    except PriceError:
        return False
