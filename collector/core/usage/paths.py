"""Paths into a usage object, and what counts as a count.

A path is text: `prompt_tokens_details.cached_tokens` walks into objects; `list[field=A,B].leaf` adds up the leaves of
a list's items whose field is A or B; ` + ` adds what is present; ` | ` takes the first that is present.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from collector.core.calls import clip

MAX_COUNT = 2**53
Problems = list[str]
Steps = tuple["str | _Pick", ...]
Count = Callable[[Mapping[str, Any], Problems], "int | None"]


class _Pick:
    """One step that chooses the items of a list whose `field` is one of `values`."""

    def __init__(self, text: str) -> None:
        self.key, condition = text.rstrip("]").split("[")
        self.field, values = condition.split("=")
        self.values = frozenset(values.split(","))

    def items(self, parent: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        found = parent.get(self.key)
        if not isinstance(found, list):
            return []
        return [item for item in found if isinstance(item, Mapping) and self._fits(item.get(self.field))]

    def _fits(self, value: object) -> bool:
        return isinstance(value, str) and value in self.values


def compile_count(text: str) -> Count:
    """A function that reads the count at a path, None where none is stated; what is no count goes to the problems."""
    alternatives = [[_steps(term) for term in alternative.split(" + ")] for alternative in text.split(" | ")]

    def read(usage: Mapping[str, Any], problems: Problems) -> int | None:
        for terms in alternatives:
            found = [count for steps in terms for count in _counts(usage, steps, problems)]
            if found:
                return _bounded(sum(found), text, problems)
        return None

    return read


def value_at(usage: Mapping[str, Any], path: str) -> Any:
    """Whatever stands at a plain dotted path, None where an object on the way is missing."""
    here: Any = usage
    for key in path.split("."):
        here = here.get(key) if isinstance(here, Mapping) else None
    return here


def _steps(term: str) -> Steps:
    return tuple(_Pick(step) if "[" in step else step for step in term.strip().split("."))


def _counts(usage: Mapping[str, Any], steps: Steps, problems: Problems) -> list[int]:
    parents: list[Any] = [usage]
    for step in steps[:-1]:
        parents = [child for parent in parents for child in _children(parent, step)]
    leaf = str(steps[-1])
    values = [parent.get(leaf) for parent in parents if isinstance(parent, Mapping)]
    return [count for value in values if value is not None and (count := _count(value, leaf, problems)) is not None]


def _children(parent: Any, step: "str | _Pick") -> list[Any]:
    if not isinstance(parent, Mapping):
        return []
    return step.items(parent) if isinstance(step, _Pick) else [parent.get(step)]


def _count(value: Any, name: str, problems: Problems) -> int | None:
    """A whole number from 0 to MAX_COUNT; 12.0 is one, "12", True, -3, 1.5 and NaN are none."""
    if type(value) is int:
        return _bounded(value, name, problems)
    if isinstance(value, (float, Decimal)) and isfinite(value) and abs(value) <= MAX_COUNT and value == int(value):
        return _bounded(int(value), name, problems)
    problems.append(f"{name} is {_shown(value)}, which is no count")
    return None


def _bounded(number: int, name: str, problems: Problems) -> int | None:
    if 0 <= number <= MAX_COUNT:
        return number
    problems.append(f"{name} is {_shown(number)}, not between 0 and {MAX_COUNT}")
    return None


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(clip(value[:40]) or "")
    if isinstance(value, Mapping | list):
        return "an object" if isinstance(value, Mapping) else "a list"
    return f"about 2**{value.bit_length()}" if isinstance(value, int) and abs(value) > 2**128 else str(value)[:40]
