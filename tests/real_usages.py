"""Real usage objects of providers, each placed: who answered, in which shape, and what genai-prices made of it.

The entries are shared data (`real_usages.json.gz`), the places a table in tests/cases. An entry that no line of the
table places is an error, and so is a line that places none.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fnmatch import fnmatchcase
from gzip import decompress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from collector.core.usage import decode_answer
from collector.core.usage.paths import value_at
from tests.shared_data import shared

CASES = Path(__file__).parent / "cases"


class Place(NamedTuple):
    """One line of the table of places."""

    file: str
    key: str
    shape: str
    expected: str  # "provider/flavor"

    def fits(self, body: Mapping[str, Any]) -> bool:
        """Whether this line places the entry."""
        return fnmatchcase(body["file"], self.file) and value_at(body, self.key) is not None


class RealUsage(msgspec.Struct, frozen=True):
    """One entry, placed. Money is in USD, None where genai-prices had no price for the model."""

    n: int  # its place in the file, from 0
    place: Place
    model: str | None
    body: dict[str, Any]  # the answer as far as it was kept, as decode_answer gives it
    usage: dict[str, int]  # genai-prices' reading; its input_tokens and output_tokens include all the others
    input_cost: Decimal | None
    output_cost: Decimal | None

    @property
    def name(self) -> str:
        """The recording's file name and the entry's number, for messages."""
        return f"{self.body['file'].rsplit('/', 1)[-1].removesuffix('.yaml')}#{self.n}"


def read_table(name: str) -> list[list[str]]:
    """The lines of a table in tests/cases as lists of words; empty lines and comments are left out."""
    lines = (CASES / name).read_text().splitlines()
    return [line.split() for line in lines if line.strip() and not line.startswith("#")]


def places() -> list[Place]:
    """The table of places, in its order."""
    return [Place(*words) for words in read_table("real_usages_places.txt")]


def place_of(body: Mapping[str, Any], table: Iterable[Place]) -> Place:
    """The first line that places an entry. Raises LookupError where none does."""
    for place in table:
        if place.fits(body):
            return place
    raise LookupError(f"no line of real_usages_places.txt places {body['file']} with {sorted(body)}")


def real_usages() -> list[RealUsage]:
    """All entries, placed; skips the test where shared data is absent."""
    entries = decode_answer(decompress(shared("real_usages.json.gz").read_bytes()))
    table = places()
    return [_placed(n, entry, place_of(entry["body"], table)) for n, entry in enumerate(entries)]


def _placed(n: int, entry: dict[str, Any], place: Place) -> RealUsage:
    group, extractor = _group(entry, place.expected)
    return RealUsage(
        n=n,
        place=place,
        model=entry.get("model"),
        body=entry["body"],
        usage=group["usage"],
        input_cost=_usd(extractor.get("input_price")),
        output_cost=_usd(extractor.get("output_price")),
    )


def _group(entry: dict[str, Any], expected: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for group in entry["extracted"]:
        for extractor in group["extractors"]:
            if f"{extractor['provider_id']}/{extractor['api_flavor']}" == expected:
                return group, extractor
    raise LookupError(f"{entry['body']['file']} has no group of {expected}")


def _usd(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
