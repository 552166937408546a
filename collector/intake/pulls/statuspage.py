"""Incidents of a Statuspage page: /api/v2/incidents.json, the fifty newest, without a key."""

from datetime import UTC, datetime

import msgspec

from collector.core.told import Incident
from collector.intake.pulls.asking import Asker, plain

_OVER = ("resolved", "postmortem", "completed")


class _Incident(msgspec.Struct):
    id: str
    name: str
    status: str
    created_at: datetime
    impact: str | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    resolved_at: datetime | None = None
    shortlink: str | None = None


class _Page(msgspec.Struct):
    incidents: list[_Incident]


def incidents(asker: Asker, page: str, provider: str, read_at: int) -> list[Incident]:
    """The incidents that a page tells of. One that is over without saying since when ended at its last change."""
    return [_incident(each, page, provider, read_at) for each in asker.get("/api/v2/incidents.json", _Page).incidents]


def _incident(told: _Incident, page: str, provider: str, read_at: int) -> Incident:
    updated = _us(told.updated_at or told.created_at)
    ended = None
    if told.resolved_at or told.status in _OVER:
        ended = _us(told.resolved_at) if told.resolved_at else updated
    link = plain(told.shortlink)
    return Incident(
        page=page,
        id=plain(told.id),
        provider=provider,
        name=plain(told.name),
        started_at=_us(told.started_at or told.created_at),
        updated_at=updated,
        read_at=read_at,
        impact=plain(told.impact),
        status=plain(told.status),
        url=link if link.startswith(("https://", "http://")) else "",
        ended_at=ended,
    )


def _us(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1_000_000)
