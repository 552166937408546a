"""GET models/.../endpoints: a model at each provider, with uptime, latency and throughput from the own ledger."""

import contextlib
from typing import Any

from collector.core.errors import LedgerError
from collector.core.uptime import Status, Uptime
from collector.intake.gateway.pages.listing import Model
from collector.intake.gateway.pages.models import found_model
from collector.intake.gateway.pages.served import Asked, Reply, Sources, json_reply
from collector.intake.gateway.pages.shapes import architecture, endpoint, percentiles
from collector.ledger.questions.ask import AnyRow, rows
from collector.ledger.questions.endpoints import WINDOWS_S, fared, recent

# OpenRouter publishes numbers and not their meanings; 0 is operational, less is worse.
_STATUS = {Status.DEGRADED: -1, Status.DOWN: -2}
_STATUS_WINDOW = "30m"


def of_model(sources: Sources, asked: Asked) -> Reply:
    """The endpoints of one model. Raises Refusal (404)."""
    model = found_model(sources, asked)
    first, cells = model[0], _cells(sources, model, asked.now_us)
    endpoints = [
        endpoint(offer, _health(cells.get((offer.provider, offer.upstream_model), []), asked.now_us)) for offer in model
    ]
    body = {
        "id": first.model,
        "name": first.author_name,
        "created": first.created,
        "description": "",
        "architecture": architecture(first),
        "endpoints": endpoints,
    }
    return json_reply({"data": body})


def _cells(sources: Sources, model: Model, now_us: int) -> dict[tuple[str, str], list[AnyRow]]:
    """Health cells by provider and the model as it was asked of it; none where there is no ledger yet."""
    found: dict[tuple[str, str], list[AnyRow]] = {}
    with contextlib.suppress(LedgerError):
        for cell in rows(sources.engine, recent({offer.upstream_model for offer in model}, now_us)):
            found.setdefault((cell.provider, cell.model), []).append(cell)
    return found


def _health(cells: list[AnyRow], now_us: int) -> dict[str, Any]:
    figures = fared(cells, now_us)
    return {
        "status": _STATUS.get(figures.uptime[_STATUS_WINDOW].status(), 0),
        **{f"uptime_last_{name}": _percent(figures.uptime[name]) for name in WINDOWS_S},
        "latency_last_30m": percentiles(dict(figures.first_token_ms)),
        "throughput_last_30m": percentiles(dict(figures.throughput)),
    }


def _percent(uptime: Uptime) -> float | None:
    """Percent, cut to hundredths and never rounded up; null with too few attempts to say."""
    if uptime.status() in (Status.FEW, Status.NO_DATA):
        return None
    return uptime.ok * 10_000 // uptime.attempts / 100
