"""Random calls for properties: nights when clocks change, hostile names, every way that a cost comes to be."""

import hashlib
from datetime import datetime

from hypothesis import strategies as st

from collector.core.calls import Attempt, Call, Quality, call_id_at
from collector.core.outcomes import Outcome
from tests.stored import SETS

# Around a change of the clock in Berlin, in St John's, in Apia (its last), and on an ordinary day.
_DATES = ("2024-03-31", "2024-10-27", "2024-11-03", "2021-04-03", "2026-10-01")
NIGHTS_S = [int(datetime.fromisoformat(f"{date}T00:00Z").timestamp()) for date in _DATES]
FIRST_DAY, END_DAY = "2021-04-01", "2026-10-10"
HOSTILE = ["=1+1", "+a", "-a", "@a", "'a", "''", "a,b", 'a"b', "a;b", "é 漢 🙂", "=cmd|' /C calc'!A0", "0123", "TOTAL"]
METERS = ("input", "output", "cache_read", "images_in", "video_in")
CONTRACT = SETS[0].beside(SETS[1])  # its list is dearer
names = st.sampled_from([None, "shop", "blog", *HOSTILE])
counts = st.one_of(st.none(), st.integers(0, 10**6))


@st.composite
def calls(draw, **fixed):
    """One call; `fixed` sets fields."""
    second = draw(st.sampled_from(NIGHTS_S)) + draw(st.integers(-26 * 3_600, 26 * 3_600))
    started_at = second * 10**6 + draw(st.integers(0, 999_999))
    meters = {name: count for name in METERS if (count := draw(counts)) is not None}
    provider = draw(st.sampled_from([None, "openai", "dear"]))
    model = draw(st.sampled_from(["m", "free", "nobody-prices-this", None, "=m"]))
    fields = {
        "source": draw(st.sampled_from(["gateway", "otlp"])),
        "outcome": draw(st.sampled_from([Outcome.OK, Outcome.PROVIDER_FAULT, Outcome.CANCELLED, Outcome.UNKNOWN])),
        "model": model,
        "provider": provider,
        "app": draw(names),
        "key": draw(names),
        "user": draw(names),
        "session": draw(names),
        "tags": draw(st.dictionaries(st.sampled_from(["team", "=env"]), st.sampled_from(HOSTILE), max_size=2)),
        "streamed": draw(st.booleans()),
        "latency_ms": draw(counts),
        "meters": meters,
        "quality": Quality.EXACT if meters else Quality.NONE,
        "reported_cost": draw(st.one_of(st.none(), st.integers(0, 10**15))),
        "own_key_cost": draw(st.one_of(st.none(), st.integers(0, 10**15))),
        "usage_problem": draw(st.sampled_from([None, "input 3 - cached 5 = -2"])),
    } | draw(st.one_of(st.just({}), stated_costs()))
    if provider and draw(st.booleans()):
        fields["attempts"] = tuple(
            Attempt(provider=each, model=model or "m", started_at=started_at, outcome=outcome)
            for each, outcome in (("openai", Outcome.RATE_LIMITED), (provider, fields["outcome"]))
        )
    seed = hashlib.sha256(repr((started_at, fields)).encode()).digest()
    return Call(id=call_id_at(started_at, seed), started_at=started_at, **fields | fixed)


@st.composite
def stated_costs(draw):
    """The money of a call that was priced elsewhere: by a set of ours, by one of its own, by none, or corrected."""
    cost = draw(st.integers(-(10**13), 10**15))
    original = draw(st.one_of(st.none(), st.integers(0, 10**15)))
    price = draw(st.sampled_from([None, *SETS, CONTRACT]))
    return {"cost": cost, "original_cost": original, "price": price.to_plain() if price else None}


def distinct(some):
    """The calls without those whose id another one has."""
    return list({call.id: call for call in some}.values())


many = st.lists(calls(), min_size=1, max_size=25).map(distinct)
