"""What is learned beside calls: probes, what a provider says in sums, prices that were pulled, incidents.

Instants are whole microseconds UTC, days are counted from 1970-01-01 UTC, money is whole picodollars. None means "not
stated", never zero; an empty text means "not by this".
"""

from typing import Any

import msgspec

from collector.core.calls import Attempt

IN_FORCE, WAITING, DECLINED = "in force", "waiting", "declined"
STATES = (IN_FORCE, WAITING, DECLINED)


class Probe(msgspec.Struct, frozen=True, gc=False):
    """One try of an endpoint that no call asked for. `id` is 32 hex digits; a model of '' is the provider itself."""

    id: str
    attempt: Attempt


class ProviderSum(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a provider says of a day in sums; never part of usage or spend.

    `source` is the pull's name ("openai_usage"), `key` and `line` are the API's own; `meters` maps names of METERS to
    disjoint counts and holds stated ones only. A later reading of the same day replaces an earlier one.
    """

    source: str
    day: int
    provider: str
    read_at: int
    model: str = ""
    key: str = ""
    line: str = ""
    requests: int | None = None
    meters: dict[str, int] = {}
    cost: int | None = None


class SumsRead(msgspec.Struct, frozen=True, gc=False):
    """The days [first_day, end_day) were read completely at `read_at`: what they said before, and not then, is gone."""

    source: str
    provider: str
    first_day: int
    end_day: int
    read_at: int


class PulledPrice(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a provider prices a model from `read_at` on; no `sets`: it does not list the model any more.

    `sets` are PriceSets in their plain form. `state` is one of STATES: what is absurd beside the price before waits.
    """

    id: str
    provider: str
    model: str
    read_at: int
    sets: tuple[dict[str, Any], ...] = ()
    changes: tuple[str, ...] = ()  # sentences: what differs from the price before
    state: str = IN_FORCE
    why: str = ""  # why it waits


class Incident(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An incident on a provider's status page, as last read. `ended_at` is None while it lasts."""

    page: str
    id: str
    provider: str
    name: str
    started_at: int
    updated_at: int
    read_at: int
    impact: str = ""
    status: str = ""
    url: str = ""
    ended_at: int | None = None


Told = Probe | ProviderSum | SumsRead | PulledPrice | Incident
