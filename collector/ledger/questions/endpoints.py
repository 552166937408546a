"""How each endpoint, a model at a provider, has fared of late, from the five-minute health cells."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import select

from collector.core import histograms
from collector.core.histograms import Histogram
from collector.core.latency import SHARES
from collector.core.periods import SECOND_US
from collector.core.uptime import Uptime
from collector.ledger.questions.ask import Question
from collector.ledger.questions.calls import name_of
from collector.ledger.questions.uptime import FIVE_MINUTES, GRAIN_S
from collector.ledger.schema import health

WINDOWS_S = {"5m": 300, "30m": 1_800, "1d": 86_400}
_TIMED = "30m"  # the window of percentiles
_STEP_US = GRAIN_S[FIVE_MINUTES] * SECOND_US


class Fared(msgspec.Struct, frozen=True):
    """Uptime by the names of WINDOWS_S; first tokens in milliseconds and throughput in tokens a second, by SHARES.

    Of throughput p90 is what 90% of the calls reached at least (openrouter.ai/docs, provider selection).
    """

    uptime: Mapping[str, Uptime]
    first_token_ms: Mapping[str, float]
    throughput: Mapping[str, float]


def recent(models: Iterable[str], now_us: int) -> Question:
    """One row per cell of these models in the longest of WINDOWS_S: provider, model, bucket, ok, provider_fault,
    first_token, throughput. A window begins with the cell that its first instant is in."""
    h = health.c
    names = (name_of(h.provider).label("provider"), name_of(h.model).label("model"))
    within = h.bucket >= _first_bucket(now_us, max(WINDOWS_S.values()))
    inner = (
        select(*names, h.bucket, h.ok, h.provider_fault, h.first_token, h.throughput)
        .where(h.grain == FIVE_MINUTES, within)
        .subquery("cells")
    )
    return select(inner).where(inner.c.model.in_(list(models)))


def fared(cells: Iterable[Any], now_us: int) -> Fared:
    """The figures of one endpoint's cells."""
    known = list(cells)
    uptime = {}
    for name, seconds in WINDOWS_S.items():
        within = [cell for cell in known if cell.bucket >= _first_bucket(now_us, seconds)]
        uptime[name] = Uptime(sum(cell.ok for cell in within), sum(cell.provider_fault for cell in within))
    timed = [cell for cell in known if cell.bucket >= _first_bucket(now_us, WINDOWS_S[_TIMED])]
    speeds = _sum(cell.throughput for cell in timed)
    return Fared(
        uptime=uptime,
        first_token_ms=_quantiles(_sum(cell.first_token for cell in timed), SHARES),
        throughput=_quantiles(speeds, {n: 1 - share for n, share in SHARES.items()}, histograms.THROUGHPUT_SCALE),
    )


def _first_bucket(now_us: int, seconds: int) -> int:
    return (now_us - seconds * SECOND_US) // _STEP_US


def _sum(compact: Iterable[bytes | None]) -> Histogram:
    total: Histogram = {}
    for data in compact:
        total = histograms.merged(total, histograms.from_bytes(data))
    return total


def _quantiles(histogram: Histogram, shares: Mapping[str, float], scale: int = 1) -> dict[str, float]:
    found = {name: histograms.quantile(histogram, share) for name, share in shares.items()}
    return {name: number / scale for name, number in found.items() if number is not None}
