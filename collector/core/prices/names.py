"""Names of models, providers and tiers: when two texts mean the same thing. Never by prefix."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

import msgspec

STANDARD_TIERS = frozenset(
    {"", "auto", "default", "on_demand", "standard", "standard_only", "tier_unspecified", "unspecified"}
)
_TIER_NAMES = {"on_demand_priority": "priority", "on_demand_flex": "flex"}
_DATED = re.compile(r"^(.+)-(20\d\d)-?(\d\d)-?(\d\d)$")


class ListedProvider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A provider as price lists know it: by which names and at which hosts; `*` stands for anything."""

    id: str
    names: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


class Names(msgspec.Struct, frozen=True):
    """The tables by which names meet. Keys are in lower case."""

    models: Mapping[str, str] = {}  # alias -> id
    aliases: Mapping[str, tuple[str, ...]] = {}  # id -> aliases
    providers: Mapping[str, str] = {}  # a provider's name in the ledger -> its id in price lists

    def model(self, name: str) -> str:
        """The id of a model's name; the name itself, in lower case, when no alias is known."""
        lower = name.strip().lower()
        return self.models.get(lower, lower)

    def all_of(self, name: str) -> tuple[str, ...]:
        """The name, its id and all aliases of that id, the name first."""
        model = self.model(name)
        return tuple(dict.fromkeys((name.strip().lower(), model, *self.aliases.get(model, ()))))

    def provider(self, name: str) -> str:
        """The id that price lists use for a provider; the name itself, in lower case, when none is known."""
        lower = name.strip().lower()
        return self.providers.get(lower, lower)


def normal_tier(name: str | None) -> str | None:
    """A service tier as price sets name it: None for the standard one and for one that is not stated."""
    if not name:
        return None
    lower = name.strip().lower()
    return None if lower in STANDARD_TIERS else _TIER_NAMES.get(lower, lower)


def undated(name: str) -> str:
    """A model's name without the date of its snapshot: `gpt-4o-2024-08-06` and `gpt-4o-20240806` are `gpt-4o`.

    A suffix that is no day of the calendar stays.
    """
    match = _DATED.match(name)
    if not match:
        return name
    try:
        date(*(int(part) for part in match.groups()[1:]))
    except ValueError:
        return name
    return match[1]


def is_snapshot(served: str, asked: str) -> bool:
    """True when the served name is the asked one, or a dated snapshot of it, with or without its author in front."""
    served, asked = served.lower(), asked.lower()
    return served == asked or _bare(undated(served)) == _bare(asked)


def _bare(name: str) -> str:
    return name.rpartition("/")[2]


def at_host(providers: Iterable[ListedProvider], base_url: str) -> str | None:
    """The id of the provider whose host a base address names; None when none does."""
    host = (urlsplit(base_url).hostname or "").lower()
    for provider in providers:
        for pattern in provider.hosts:
            if fnmatchcase(host, pattern):
                return provider.id
    return None
