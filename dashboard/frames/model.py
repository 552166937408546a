"""One model: its card, where it is sold and how it does there, and who uses it."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pandas as pd

from collector.core.latency import Latency, of_cells
from collector.core.money import format_usd
from collector.core.prices import PriceSet
from collector.core.uptime import Status, Uptime
from dashboard import texts
from dashboard.frames.axis import Axis
from dashboard.frames.series import gather, long_frame
from dashboard.frames.uptime import Tally

NOT_KNOWN = "not known"
WINDOWS_S = {"5m": 300, "30m": 1_800, "1d": 86_400}
CELL_S = 300
# A sign beside each word, so that no state is known by its colour alone.
SIGNS = {
    Status.NORMAL: "● normal",
    Status.DEGRADED: "◐ degraded",
    Status.DOWN: "○ down",
    Status.FEW: "◌ too few attempts",
    Status.NO_DATA: "– no data",
}


class Fact(NamedTuple):
    """A thing that a card states, in words."""

    label: str
    value: str


def facts(card: Any, prices: Sequence[PriceSet]) -> list[Fact]:
    """What the head of the page states of a model; what nobody knows reads "not known"."""
    return [
        Fact("Context, tokens", _count(card and card.context_tokens)),
        *(Fact(f"{label}, $/{unit}", price_range(prices, meter, n)) for label, (meter, n, unit) in UNITS.items()),
        Fact("Created", _day(card and card.created)),
        Fact("Training data up to", (card and card.training_data) or NOT_KNOWN),
    ]


UNITS = {  # label -> meter, how many of them a price list prices, and their name
    "Input": ("input", 1_000_000, "M tokens"),
    "Output": ("output", 1_000_000, "M tokens"),
    "Images": ("images_in", 1_000, "K imgs"),
}


def price_range(prices: Sequence[PriceSet], meter: str, units: int) -> str:
    """The list price in dollars of so many of a meter over all offers: one, or the lowest to the highest."""
    found = sorted({s.prices[meter] for s in prices if _is_sold_by(s, meter)})
    if not found:
        return "as tokens" if prices and meter == "images_in" else NOT_KNOWN
    return "–".join(dict.fromkeys(f"${format_usd(price * units)}" for price in (found[0], found[-1])))


def _is_sold_by(price_set: PriceSet, meter: str) -> bool:
    return meter in price_set.prices and (meter != "images_in" or price_set.images == "per image")


def _count(number: int | None) -> str:
    return f"{number:,}" if number else NOT_KNOWN


def _day(day: date | None) -> str:
    return f"{day.day} {day:%b %Y}" if day else NOT_KNOWN


class Standing(NamedTuple):
    """How a model does at a provider now: attempts by window of WINDOWS_S, percentiles of the last day."""

    tallies: Mapping[str, Tally]
    speed: Latency

    @property
    def status(self) -> Status:
        """By the shortest window with enough attempts."""
        states = [self.tallies[name].uptime.status() for name in WINDOWS_S]
        return next((state for state in states if state not in (Status.FEW, Status.NO_DATA)), states[-1])


def standings(uptime_rows: Sequence[Any], cells: Sequence[Any], now_s: int) -> dict[str, Standing]:
    """By provider, from rows of `provider_uptime` in five minutes over the last day and of `cells_of` by provider.

    A window holds the cell that is running and as many before it as its length has.
    """
    by_provider: dict[str, list[Any]] = {}
    for cell in cells:
        by_provider.setdefault(cell.group, []).append(cell)
    names = dict.fromkeys([*(row.group for row in uptime_rows), *by_provider])
    return {
        name: Standing(
            {
                window: _sum(row for row in uptime_rows if row.group == name and row[0] > now_s - length - CELL_S)
                for window, length in WINDOWS_S.items()
            },
            of_cells(by_provider.get(name, ())),
        )
        for name in names
    }


def _sum(rows: Any) -> Tally:
    counts = [(row.ok, row.provider_fault, row.rate_limited) for row in rows]
    return Tally(*map(sum, zip(*counts, strict=True))) if counts else Tally()


OFFER_COLUMNS = (
    "Provider",
    "Status",
    "Uptime 5m",
    "Uptime 30m",
    "Uptime 1d",
    "First token p50",
    "Throughput p50",
    "Context",
    "Max output",
    "Input, $/M",
    "Output, $/M",
    "Images, $/K",
)


def offer_table(offers: Sequence[Any], standing: Mapping[str, Standing], card: Any) -> pd.DataFrame:
    """One line per provider, in the order of the offers. Context and output fall back to what the card says."""
    none = Standing({name: Tally() for name in WINDOWS_S}, of_cells(()))
    return pd.DataFrame([_offer(o, standing.get(o.provider, none), card) for o in offers], columns=OFFER_COLUMNS)


def _offer(offer: Any, its: Standing, card: Any) -> list[str]:
    endpoint, prices = offer.endpoint, [offer.price] if offer.price else []
    context = (endpoint and endpoint.context_tokens) or (card and card.context_tokens)
    most = (endpoint and endpoint.max_output_tokens) or (card and card.max_output_tokens)
    return [
        offer.provider,
        SIGNS[its.status],
        *(its.tallies[name].uptime.text() for name in WINDOWS_S),
        milliseconds(its.speed.first_token_ms.percentiles.get("p50")),
        per_second(its.speed.throughput.percentiles.get("p50")),
        _count(context),
        _count(most),
        *(price_range(prices, meter, units) for meter, units, _ in UNITS.values()),
    ]


def milliseconds(number: float | None) -> str:
    """A percentile of a time; "no data" where nothing was measured."""
    return texts.NO_DATA if number is None else texts.duration(round(number))


def per_second(number: float | None) -> str:
    """A percentile of throughput, in tokens per second."""
    return texts.NO_DATA if number is None else f"{number:.1f} tok/s"


def app_table(rows: Sequence[Any]) -> pd.DataFrame:
    """Who uses a model, most tokens first, from rows by app of `tokens_per_day`; a link only where it is an address."""
    sums: dict[str, list[int]] = {}
    titles: dict[str, str] = {}
    for row in rows:
        line = sums.setdefault(row.group, [0, 0])
        line[0] += row.tokens_in + row.tokens_out
        line[1] += row.calls
        titles[row.group] = row.label or row.group or "no app"
    ranked = sorted(sums, key=lambda name: (-sums[name][0], -sums[name][1], name))
    lines = [[n, titles[name], web_address(name), *sums[name]] for n, name in enumerate(ranked, start=1)]
    return pd.DataFrame(lines, columns=["Rank", "App", APP_LINK, "Tokens", "Calls"])


APP_LINK = "Site"


def web_address(name: str) -> str:
    """The name, when it is the address of a web site and nothing else; else ""."""
    try:
        parts = urlsplit(name)
    except ValueError:
        return ""
    is_plain = parts.scheme in ("http", "https") and bool(parts.hostname) and not set(name) & set("<>\"' \\")
    return name if is_plain else ""


SIDES = ("Prompt", "Prompt, cached", "Completion", "Reasoning")


def activity(rows: Sequence[Any], axis: Axis) -> pd.DataFrame:
    """The long frame of tokens per day in SIDES, whose stack is the whole: the subsets are taken out of their sides."""
    found = []
    for row in rows:
        fresh, said = row.tokens_in - row.tokens_cached, row.tokens_out - row.tokens_reasoning
        amounts = (fresh, row.tokens_cached, said, row.tokens_reasoning)
        found += [(row.day, name, amount) for name, amount in zip(SIDES, amounts, strict=True) if amount]
    return long_frame(gather(found), axis, SIDES, lambda number: texts.count(number, "token"))


def activity_says(rows: Sequence[Any]) -> str:
    """The sums of the sides and their subsets."""
    names = ("tokens_in", "tokens_cached", "tokens_out", "tokens_reasoning")
    given, cached, made, reasoned = (texts.short_count(sum(getattr(row, name) for row in rows)) for name in names)
    return f"{given} prompt tokens, {cached} of them cached; {made} completion tokens, {reasoned} of them reasoning"


def headline(standing: Mapping[str, Standing]) -> str:
    """The sentence above the providers: how they did in the last day."""
    day = [its.tallies["1d"] for its in standing.values()]
    total = Uptime(sum(t.ok for t in day), sum(t.fault for t in day))
    return f"{texts.count(total.attempts, 'attempt')} in the last 24 hours, {total.text()} ok"
