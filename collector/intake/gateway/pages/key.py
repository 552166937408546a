"""GET key: the key that a request came with, what was spent with it, and how its limit stands."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from collector.core.budgets import EVERY, window
from collector.core.errors import LedgerError
from collector.core.money import format_usd
from collector.core.periods import Period
from collector.core.selection import Selection
from collector.intake.gateway.pages.served import Asked, Reply, Sources, json_reply
from collector.intake.gateway.shared.budgets import Standing
from collector.intake.gateway.shared.keys import Key
from collector.ledger.questions.ask import declared_zones, rows, total
from collector.ledger.questions.spend import spend_per_day

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGAN_US = 946_684_800_000_000  # 2000-01-01: before anything that is in a ledger
_RESETS = {"day": "daily", "week": "weekly", "month": "monthly"}
_NO_LIMIT = -1  # as OpenRouter states rates that do not apply
_NONE = msgspec.Raw(b"0")


def current(sources: Sources, asked: Asked) -> Reply:
    """The key of the request; without one, what is known of all calls that came without. Raises StateError."""
    key = asked.key
    standing = None
    if key is not None and key.budget is not None and sources.standing is not None:
        standing = sources.standing(key.budget, asked.now_us)
    return json_reply({"data": shape(key, standing, _usage(sources, key, asked.now_us))})


def _usage(sources: Sources, key: Key | None, now_us: int) -> dict[str, msgspec.Raw]:
    """What was spent by the ledger: in all, and in the running day, week and month of UTC; 0 where there is none."""
    windows = {f"usage_{_RESETS[every]}": window(every, "UTC", now_us) for every in EVERY}
    windows["usage"] = Period(_BEGAN_US, windows["usage_daily"].end_us)
    selection = Selection(keys=(key.id if key else "",))
    found = dict.fromkeys(windows, _NONE)
    with contextlib.suppress(LedgerError):
        engine = sources.engine
        zones, limits = declared_zones(engine), sources.settings.limits
        for name, period in windows.items():
            spent = rows(engine, spend_per_day(selection, period, zones, limits))
            found[name] = _usd(total(spent, "cost_picousd"))
    return found


def shape(key: Key | None, standing: Standing | None, usage: dict[str, msgspec.Raw]) -> dict[str, Any]:
    """OpenRouter's answer (openrouter.ai/docs, API reference, GET /key). The label is no part of the key."""
    budget = _budget(standing) if standing else None
    return {
        "label": f"{key.id} ({key.app})" if key else "no key",
        "limit": _usd(standing.budget.limit) if standing else None,
        "limit_remaining": _usd(standing.left) if standing else None,
        "limit_reset": _RESETS[standing.budget.period] if standing else None,
        "include_byok_in_limit": False,
        **usage,
        **{f"byok_{name}": _NONE for name in usage},
        "is_free_tier": False,
        "is_management_key": False,
        "is_provisioning_key": False,
        "budgets": [budget] if budget else [],
        "effective_budget": budget,
        "free_model_daily_requests": {"limit": _NO_LIMIT, "used": 0, "remaining": _NO_LIMIT},
        "allowed_data_regions": ["global"],
        "workspace_id": None,
        "organization_id": None,
        "creator_user_id": None,
        "expires_at": _instant(key.expires_us) if key and key.expires_us is not None else None,
        "rate_limit": {
            "requests": key.rpm if key and key.rpm else _NO_LIMIT,
            "interval": "1m",
            "note": "Calls a minute that this key may make; -1: any number.",
        },
    }


def _budget(standing: Standing) -> dict[str, Any]:
    return {
        "scope": "key_limit",
        "limit_usd": _usd(standing.budget.limit),
        "spend_usd": _usd(standing.spent),
        "remaining_usd": _usd(standing.left),
        "reset_interval": _RESETS[standing.budget.period],
        "resets_at": _instant(standing.ends_us),
        "include_byok": False,
        "guardrail_id": None,
        "budget_id": None,
    }


def _usd(picousd: int) -> msgspec.Raw:
    """An exact JSON number."""
    return msgspec.Raw(format_usd(picousd).encode())


def _instant(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z")
