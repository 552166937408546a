"""Paths into a usage object, and what counts as a count.

A path is text: `prompt_tokens_details.cached_tokens` walks into objects; `list[field=A,B].leaf` adds up the leaves of
those items of a list whose field is A or B; ` + ` adds what is stated; ` - ` takes off what is stated, down to 0;
` | ` takes the first that is stated.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from math import isfinite
from typing import Any

from collector.core.calls import clip
from collector.core.meters import MAX_COUNT

Problems = list[str]
Count = Callable[[Mapping[str, Any], Problems], "int | None"]


def compile_count(path: str) -> Count:
    """A function that reads the count at a path, None where none is stated; what is no count goes to the problems."""
    alternatives = [_compile_terms(text) for text in path.split(" | ")]
    if len(alternatives) == 1:
        return alternatives[0]

    def first_stated(usage: Mapping[str, Any], problems: Problems) -> int | None:
        for read in alternatives:
            count = read(usage, problems)
            if count is not None:
                return count
        return None

    return first_stated


def value_at(usage: Mapping[str, Any], path: str) -> Any:
    """Whatever stands at a plain dotted path, None where an object on the way is missing."""
    here: Any = usage
    for key in _steps(path):
        if type(here) is not dict and not isinstance(here, Mapping):
            return None
        here = here.get(key)
    return here


@cache
def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _compile_terms(text: str) -> Count:
    added, *taken = text.split(" - ")
    plus = [_compile_leaf(term) for term in added.split(" + ")]
    minus = [_compile_leaf(term) for term in taken]
    if len(plus) == 1 and not minus:
        return plus[0]

    def total(usage: Mapping[str, Any], problems: Problems) -> int | None:
        stated = [count for read in plus if (count := read(usage, problems)) is not None]
        if not stated:
            return None
        return as_count(max(0, sum(stated) - sum(read(usage, problems) or 0 for read in minus)), text, problems)

    return total


def _compile_leaf(term: str) -> Count:
    *steps, leaf = term.strip().split(".")
    if "[" in term:
        return _compile_list_leaf(steps, leaf, term)

    def on_top(usage: Mapping[str, Any], problems: Problems) -> int | None:
        value = usage.get(leaf)
        return None if value is None else as_count(value, term, problems)

    if not steps:
        return on_top

    def at(usage: Mapping[str, Any], problems: Problems) -> int | None:
        here: Any = usage
        for step in steps:
            here = here.get(step)
            if not isinstance(here, dict):
                return None
        value = here.get(leaf)
        return None if value is None else as_count(value, term, problems)

    return at


def _compile_list_leaf(steps: list[str], leaf: str, term: str) -> Count:
    readers = [_picker(step) if "[" in step else _child(step) for step in steps]

    def total(usage: Mapping[str, Any], problems: Problems) -> int | None:
        parents: list[Mapping[str, Any]] = [usage]
        for children in readers:
            parents = [child for parent in parents for child in children(parent)]
            if not parents:
                return None
        values = [value for parent in parents if (value := parent.get(leaf)) is not None]
        counts = [count for value in values if (count := as_count(value, term, problems)) is not None]
        return as_count(sum(counts), term, problems) if counts else None

    return total


def _child(key: str) -> Callable[[Mapping[str, Any]], list[Mapping[str, Any]]]:
    return lambda parent: [parent[key]] if isinstance(parent.get(key), dict) else []


def _picker(step: str) -> Callable[[Mapping[str, Any]], list[Mapping[str, Any]]]:
    """The items of the list `key` whose `field` is one of `values`, for a step written `key[field=values]`."""
    key, condition = step.rstrip("]").split("[")
    field, values = condition.split("=")
    wanted = values.split(",")

    def pick(parent: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        items = parent.get(key)
        found = items if isinstance(items, list) else []
        return [item for item in found if isinstance(item, dict) and item.get(field) in wanted]

    return pick


def as_count(value: Any, name: str, problems: Problems) -> int | None:
    """A whole number from 0 to MAX_COUNT, or None and a problem: 12.0 is a count; "12", True, -3, 1.5, NaN are not."""
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    if isinstance(value, float | Decimal) and _is_finite(value) and 0 <= value <= MAX_COUNT and value % 1 == 0:
        return int(value)
    problems.append(f"{name} is {_shown(value)}, not a count from 0 to {MAX_COUNT}")
    return None


def _is_finite(value: float | Decimal) -> bool:
    return value.is_finite() if isinstance(value, Decimal) else isfinite(value)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(clip(value[:40]) or "")
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 2**128:  # its decimal text could be thousands of digits long
        return f"{'-' if value < 0 else ''}2**{value.bit_length() - 1} or more"
    return str(value)[:40]
