"""The draw by which the cheaper of equally good endpoints is asked more often; pure."""

from collections.abc import Sequence
from math import log

import msgspec

_64_BITS = (1 << 64) - 1


class Draw(msgspec.Struct, frozen=True):
    """A draw without replacement, weighted by 1 / price^2 (Efraimidis and Spirakis, 2006).

    `factors` are those of the different prices; `groups` says of every endpoint which of them is its own.
    """

    factors: tuple[float, ...]
    groups: tuple[int, ...]

    def ranks(self, seed: int) -> list[float]:
        """A rank of each endpoint, lower first. The same seed draws the same."""
        drawn = [-log(_uniform(seed, n)) * factor for n, factor in enumerate(self.factors)]
        return [drawn[group] for group in self.groups]


def draw_among(prices: Sequence[int | None]) -> Draw | None:
    """The draw among endpoints of these prices; None where they leave nothing to draw: equal, or not all known.

    Equals in price are drawn together and keep their order; a free endpoint is always first.
    """
    counts: dict[int, int] = {}
    for price in prices:
        if price is None:
            return None
        counts[price] = counts.get(price, 0) + 1
    if len(counts) < 2:
        return None
    least = min(filter(None, counts), default=1)
    place = {price: n for n, price in enumerate(counts)}
    return Draw(
        factors=tuple([(price / least) ** 2 / many for price, many in counts.items()]),
        groups=tuple([place[price] for price in prices if price is not None]),
    )


def _uniform(seed: int, n: int) -> float:
    """The n-th number of a seed, above 0 and at most 1: SplitMix64 (Steele, Lea and Flood, 2014), cheap to begin."""
    mixed = (seed + (n + 1) * 0x9E3779B97F4A7C15) & _64_BITS
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _64_BITS
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _64_BITS
    return (((mixed ^ mixed >> 31) >> 11) + 1) / (1 << 53)
