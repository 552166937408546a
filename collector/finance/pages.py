"""Streams in pages."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def pages(stream: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items of a stream in tuples of `size`, the last one shorter."""
    items = iter(stream)
    while page := tuple(islice(items, size)):
        yield page
