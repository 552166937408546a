"""Prices of hundreds of models from the genai-prices package, read when a model is first asked for.

A name is the same model only when the list spells it out: as the model's id, in one of its clauses, by a regular
expression anchored at both ends, or as one of those with nothing more than a date or a version behind it (or the
author, a region, `models/` in front) where the list's own clause accepts the whole name. Never by prefix alone.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

import collector
from collector.core.errors import PriceError
from collector.core.money import parse_unit_price
from collector.core.prices import PriceSet
from collector.core.prices.entries import instant_of, listed_text
from collector.core.prices.names import Names
from collector.ledger.book.genai_rows import PACKAGE, ListedModel, ListedProvider

_TIMEOUT_S = 60
_SUFFIXES = (
    re.compile(r"-v\d+(?::\d+)?$"),
    re.compile(r"(?:-latest|[-@]\d{4}-\d\d-\d\d|-\d\d-\d\d|-\d\d-20\d\d|[-@]\d{3,8})$"),
)
_REGION = re.compile(r"^(?:us|eu|apac|ap|au|jp|ca|us-gov)\.")
_VENDOR = re.compile(r"^[a-z0-9]+\.(?=[a-z])")
_MATCHES: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda name, text: name == text,
    "starts_with": lambda name, text: name.startswith(text),
    "ends_with": lambda name, text: name.endswith(text),
    "contains": lambda name, text: text in name,
    "regex": lambda name, text: re.search(text, name) is not None,
}


class GenaiPrices:
    """The package as a source of the price book. Only the providers that are asked for are kept decoded."""

    name = PACKAGE
    is_long = True
    is_list = True

    def __init__(self, names: Names) -> None:
        self._names = names
        self._raw: dict[str, msgspec.Raw] | None = None
        self._providers: dict[str, ListedProvider | None] = {}

    def prepare(self) -> None:
        """Read the list now, a third of a second, rather than when the first model is asked for."""
        if self._raw is None:
            self._raw = read_list()

    def sets(self, model: str, provider: str | None) -> Sequence[PriceSet]:
        """All sets of a model at a provider as this list names it."""
        found = self._find(provider, model)
        return [] if found is None or found[1].unmeasured else _price_sets(*found)

    def remark(self, model: str, provider: str | None) -> str | None:
        """Why a model that is on the list has no set: the unit that it is sold by."""
        found = self._find(provider, model)
        if found is None or self.sets(model, provider):
            return None
        return f"sold by {found[1].unmeasured}" if found[1].unmeasured else "listed without a price"

    def about(self, model: str) -> ListedModel | None:
        """What the list says of a model: at its author, else wherever it says most; None where it is not on it."""
        author = self._names.provider(model.partition("/")[0])
        if (found := self._find(author, model)) and _tells(found[1]):
            return found[1]
        sold = [found[1] for at in self._all() if (found := self._find(at.id, model))]
        return max(sold, key=_tells, default=None)

    def every(self) -> Iterator[PriceSet]:
        """All sets of the list."""
        for at in self._all():
            for model in at.models:
                yield from () if model.unmeasured else _price_sets(at, model)

    def everywhere(self, model: str) -> Iterator[PriceSet]:
        """All sets of a model, at whatever provider of the list."""
        for at in self._all():
            yield from self.sets(model, at.id)

    def _all(self) -> Iterator[ListedProvider]:
        self.prepare()
        return (at for provider_id in self._raw or () if (at := self._provider(provider_id)))

    def _provider(self, provider_id: str | None) -> ListedProvider | None:
        if not provider_id:
            return None
        if provider_id not in self._providers:
            self.prepare()
            raw = (self._raw or {}).get(provider_id)
            if raw is None:
                return None
            self._providers[provider_id] = msgspec.msgpack.decode(raw, type=ListedProvider)
        return self._providers[provider_id]

    def _find(self, provider: str | None, model: str) -> tuple[ListedProvider, ListedModel] | None:
        at = self._provider(provider)
        if at is None:
            return None
        sellers = [at, *(p for name in at.fallback if (p := self._provider(name)))]
        for name in self._names.all_of(model):
            for seller in sellers:
                if listed := _model(seller, name, self._names):
                    return seller, listed
        return None


def _tells(model: ListedModel) -> int:
    return sum(each is not None for each in (model.description, model.context_tokens))


def _model(at: ListedProvider, name: str, names: Names) -> ListedModel | None:
    for form in (name, *_without_author(name, at.id, names)):
        first = next((model for model in at.models if _accepts(model.match, form)), None)
        if first and _spelled_out(first, form):
            return first
    return None


def _without_author(name: str, provider_id: str, names: Names) -> Iterator[str]:
    author, slash, rest = name.partition("/")
    if slash and (names.provider(author) == provider_id or author == "models"):
        yield rest
    if provider_id in ("google", "aws") and name.count("/") > 1:
        yield name.rpartition("/")[2]


def _accepts(match: list[Any], name: str) -> bool:
    kind, content = match
    if kind == "or":
        return any(_accepts(part, name) for part in content)
    if kind == "and":
        return all(_accepts(part, name) for part in content)
    return _MATCHES[kind](name, content)


def _spelled_out(model: ListedModel, name: str) -> bool:
    known, anchored = _spellings(model)
    forms = {name}
    for trimming in (*_SUFFIXES, _REGION, _VENDOR):
        forms |= {trimming.sub("", form) for form in forms}
    return not forms.isdisjoint(known) or any(re.search(pattern, name) for pattern in anchored)


def _spellings(model: ListedModel) -> tuple[set[str], list[str]]:
    leaves = list(_leaves(model.match))
    known = {model.id.lower(), *(text.rstrip("@") for kind, text in leaves if kind != "regex")}
    return known, [t for kind, t in leaves if kind == "regex" and t[:1] == "^" and t[-1:] == "$" and ".*" not in t]


def _leaves(match: list[Any]) -> Iterator[tuple[str, str]]:
    kind, content = match
    if isinstance(content, list):
        for part in content:
            yield from _leaves(part)
    else:
        yield kind, content


def _price_sets(at: ListedProvider, model: ListedModel) -> list[PriceSet]:
    return [
        PriceSet(
            model=model.id,
            provider=at.id,
            prices={meter: parse_unit_price(usd, per) for meter, (usd, per) in listed.prices.items()},
            listed={meter: listed_text(usd, per) for meter, (usd, per) in listed.prices.items()},
            source=", ".join(filter(None, (PACKAGE, at.url and f"from {at.url}", listed.note))),
            checked=f"{PACKAGE} {package_version()}",
            tier=listed.tier,
            above_tokens=listed.above_tokens,
            hours=tuple(listed.hours),
            starts=instant_of(listed.starts),
            until=instant_of(listed.until),
        )
        for listed in model.sets
    ]


@cache
def package_version() -> str:
    """The installed version of genai-prices."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


@cache
def read_list() -> dict[str, msgspec.Raw]:
    """Provider id -> its row, undecoded, from a child process; once in a process.

    Raises PriceError when the package cannot be read.
    """
    command = [sys.executable, "-m", "collector.ledger.book.genai_rows"]
    root = str(Path(collector.__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_TIMEOUT_S, env={**os.environ, "PYTHONPATH": path}, check=True
        )
        return msgspec.msgpack.decode(done.stdout, type=dict[str, msgspec.Raw])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        last = said.decode(errors="replace").strip().splitlines()[-1:]
        raise PriceError(
            f"{PACKAGE} cannot be read ({' '.join(last)}): run pip install '{PACKAGE}>=0.2.3,<0.3'"
        ) from None
