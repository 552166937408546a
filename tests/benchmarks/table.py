"""Results of a benchmark: a line each, with the figure, its target and whether it is met."""

from collections.abc import Iterable
from typing import NamedTuple


class Result(NamedTuple):
    """`value` against `target`, a least or, with `at_most`, a greatest one; None: shown, not judged."""

    name: str
    detail: str
    value: float
    target: float | None = None
    at_most: bool = False

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def show(results: Iterable[Result]) -> None:
    """Print the lines; nothing here is a test."""
    print(f"{'':48}{'figures':46}{'ratio':>9}  target")
    for result in results:
        bound = "" if result.target is None else f"{'<=' if result.at_most else '>='} {result.target:g}"
        verdict = {True: "met", False: "MISSED", None: ""}[result.met]
        print(f"{result.name:48}{result.detail:46}{result.value:>9.3f}  {bound:9}{verdict}", flush=True)
