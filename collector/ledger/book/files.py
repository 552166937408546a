"""Price files: TOML in which every decimal stays decimal text."""

from collections.abc import Sequence
from pathlib import Path

from collector.core.errors import PriceError, SettingsError
from collector.core.prices import PriceSet
from collector.core.prices.entries import read_entry
from collector.toml_file import read_toml


def read_prices(path: Path, name: str) -> list[PriceSet]:
    """The price sets of one file. `name` is the source of entries that state none. Raises PriceError."""
    try:
        tables = read_toml(path)
    except SettingsError as error:
        raise PriceError(str(error)) from None
    if unknown := sorted(tables.keys() - {"prices"}):
        raise PriceError(f"{path}: {unknown[0]!r} is not known here: a price file holds [[prices]] entries only")
    entries = tables.get("prices", [])
    if not isinstance(entries, list):
        raise PriceError(f"{path}: write [[prices]] with two brackets, once for each entry")
    return [read_entry(entry, name, str(path)) for entry in entries]


def refuse(where: Path | str, found: Sequence[str]) -> None:
    """Raises PriceError for the first problem that was found, if any, and says how many there are."""
    if found:
        more = f" (and {len(found) - 1} more: see callmeter prices check)" if len(found) > 1 else ""
        raise PriceError(f"{where}: {found[0]}{more}")
