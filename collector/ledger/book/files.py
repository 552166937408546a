"""Price files: TOML in which every decimal stays decimal text."""

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from collector.core.errors import PriceError
from collector.core.prices import PriceSet
from collector.core.prices.entries import read_entry


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, decimals as Decimal. Raises PriceError naming the file and the place."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PriceError(f"{path} cannot be read: {error}") from None


def read_prices(path: Path, name: str) -> list[PriceSet]:
    """The price sets of one file. `name` is the source of entries that state none. Raises PriceError."""
    tables = read_toml(path)
    if unknown := sorted(tables.keys() - {"prices"}):
        raise PriceError(f"{path}: {unknown[0]!r} is not known here: a price file holds [[prices]] entries only")
    entries = tables.get("prices", [])
    if not isinstance(entries, list):
        raise PriceError(f"{path}: write [[prices]] with two brackets, once for each entry")
    return [read_entry(entry, name) for entry in entries]
