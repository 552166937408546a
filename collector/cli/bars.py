"""A bar on stderr for long work, where stderr is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None] | None]:
    """What long work calls with how much is done, of how much; None where nobody would see it.

    The bar appears with the first call, so that short work shows none.
    """
    if not sys.stderr.isatty():
        yield None
        return
    shown = click.progressbar(length=1, label=label, file=sys.stderr)

    def show(done: int, in_all: int) -> None:
        shown.length = in_all
        shown.update(done - shown.pos)

    try:
        yield show
    finally:
        if shown.pos:
            shown.render_finish()
