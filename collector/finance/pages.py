"""Streams in pages."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def pages(stream: Iterable[T], size: int) -> Iterator[tuple[T, ...]]:
    """The items of a stream in tuples of `size`, the last one shorter. None of them is held on to."""
    items = iter(stream)
    return iter(lambda: tuple(islice(items, size)), ())
