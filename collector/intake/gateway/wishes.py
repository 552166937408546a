"""What a request says of its own routing: OpenRouter's `provider` object, `models`, and the suffix of the model's name.

Field by field as openrouter.ai/docs/guides/routing/provider-selection states it.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, NoReturn

import msgspec

from collector.core.errors import InputError
from collector.core.latency import SHARES
from collector.core.money import parse_unit_price
from collector.intake.gateway.asked import Asked, check_name, without_suffix
from collector.intake.gateway.errors import Refusal

SORTS = ("price", "throughput", "latency", "exacto")
SORT_OF_SUFFIX = {":nitro": "throughput", ":floor": "price", ":exacto": "exacto"}
QUANTIZATIONS = ("int4", "int8", "fp4", "mxfp4", "nvfp4", "fp6", "fp8", "mxfp8", "fp16", "bf16", "fp32", "unknown")
# member of `max_price` -> the meter it bounds and the units that its price is for
MAX_PRICES = {
    "prompt": ("input", 1_000_000),
    "completion": ("output", 1_000_000),
    "request": ("requests", 1),
    "image": ("images_in", 1),
    "audio": ("audio_in", 1_000_000),
}
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<at>[^`]*)`)?$", re.DOTALL)
_models_of = msgspec.json.Decoder(list[str]).decode


class Wishes(msgspec.Struct, frozen=True):
    """How a call wants to be routed; empty: no wish. Names of providers in lower case.

    `max_prices` are picodollars per unit of a meter. `latency_s` and `throughput` are percentiles by name that an
    endpoint should keep.
    """

    models: tuple[tuple[str, str], ...]  # (name, suffix) in the order in which they are tried
    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    denies_collection: bool = False
    zdr: bool = False
    distillable: bool = False
    quantizations: tuple[str, ...] = ()
    sort: str = ""
    across_models: bool = False
    max_prices: Mapping[str, int] = {}
    latency_s: Mapping[str, float] = {}
    throughput: Mapping[str, float] = {}


class _Sort(msgspec.Struct):
    by: Literal["price", "throughput", "latency", "exacto"] | None = None
    partition: Literal["model", "none"] | None = None


class _Percentiles(msgspec.Struct, forbid_unknown_fields=True):
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p99: float | None = None


class Preferences(msgspec.Struct):
    """The `provider` object; members that it does not know are for the upstream."""

    order: list[str] | None = None
    only: list[str] | None = None
    ignore: list[str] | None = None
    allow_fallbacks: bool | None = None
    require_parameters: bool | None = None
    data_collection: Literal["allow", "deny"] | None = None
    zdr: bool | None = None
    enforce_distillable_text: bool | None = None
    quantizations: list[str] | None = None
    sort: str | _Sort | None = None
    max_price: dict[str, Decimal | None] | None = None
    preferred_min_throughput: float | _Percentiles | None = None
    preferred_max_latency: float | _Percentiles | None = None


_preferences = msgspec.json.Decoder(Preferences | None).decode
_NO_PREFERENCES = Preferences()


def wishes_nothing(asked: Asked) -> bool:
    """Whether a request leaves its routing to the gateway, apart from the one model that it names."""
    return not asked.suffix and "provider" not in asked.members and "models" not in asked.members


def read_wishes(asked: Asked, max_names: int) -> Wishes:
    """The wishes of a request. Raises Refusal (400), naming the member; no list may hold more than `max_names`."""
    members = asked.members
    models = _models(asked, max_names)
    sort = SORT_OF_SUFFIX.get(asked.suffix, "")
    if "provider" not in members:
        return Wishes(models=models, sort=sort)
    told = _told(members["provider"])
    return Wishes(
        models=models,
        order=_names(told.order, "order", max_names),
        only=_names(told.only, "only", max_names),
        ignore=_names(told.ignore, "ignore", max_names),
        allow_fallbacks=told.allow_fallbacks is not False,
        require_parameters=bool(told.require_parameters),
        denies_collection=told.data_collection == "deny",
        zdr=bool(told.zdr),
        distillable=bool(told.enforce_distillable_text),
        quantizations=_quantizations(told.quantizations or [], max_names),
        sort=_sort(told.sort) or sort,
        across_models=isinstance(told.sort, _Sort) and told.sort.partition == "none",
        max_prices=_max_prices(told.max_price or {}),
        latency_s=_percentiles(told.preferred_max_latency),
        throughput=_percentiles(told.preferred_min_throughput),
    )


def _models(asked: Asked, max_names: int) -> tuple[tuple[str, str], ...]:
    """`model` first, then those of `models`, each once; `asked.model` is the first of `models` where `model` lacks."""
    first = (asked.model, asked.suffix)
    raw = asked.members.get("models")
    if raw is None or bytes(raw) == b"null":
        return (first,)
    try:
        stated = _models_of(raw)
    except (msgspec.MsgspecError, ValueError):
        _refuse("models", "is not a list of model names: send a list of strings or leave it out")
    _check_length(stated, "models", max_names)
    for name in stated:
        check_name(name, "models")
    return tuple(dict.fromkeys([first, *(without_suffix(name) for name in stated if name.strip())]))


def _told(raw: msgspec.Raw) -> Preferences:
    try:
        return _preferences(raw) or _NO_PREFERENCES
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        found = _AT.match(str(error))
        what, at = (found["what"], found["at"] or "") if found else (str(error), "")
        _refuse(f"provider{at}"[:80], f"cannot be used ({what[:200]}): correct it or leave it out")


def _names(stated: list[str] | None, member: str, max_names: int) -> tuple[str, ...]:
    _check_length(stated or [], f"provider.{member}", max_names)
    return tuple(dict.fromkeys(name.strip().lower() for name in stated or ()))


def _quantizations(stated: list[str], max_names: int) -> tuple[str, ...]:
    names = _names(stated, "quantizations", max_names)
    for name in names:
        if name not in QUANTIZATIONS:
            _refuse("provider.quantizations", f"holds {name[:40]!r}: known are {', '.join(QUANTIZATIONS)}")
    return names


def _sort(stated: str | _Sort | None) -> str:
    by = (stated.by or "") if isinstance(stated, _Sort) else stated or ""
    if by and by not in SORTS:
        _refuse("provider.sort", f"is {by[:40]!r}: write one of {', '.join(SORTS)}")
    return by


def _max_prices(stated: Mapping[str, Decimal | None]) -> dict[str, int]:
    prices = {}
    for name, usd in stated.items():
        if name not in MAX_PRICES:
            _refuse("provider.max_price", f"holds {name[:40]!r}: known are {', '.join(MAX_PRICES)}")
        if usd is None:
            continue
        meter, per = MAX_PRICES[name]
        try:
            prices[meter] = parse_unit_price(str(usd), per)
        except InputError:
            _refuse(f"provider.max_price.{name}", f"is {str(usd)[:40]}: write an amount in USD")
    return prices


def _percentiles(stated: float | _Percentiles | None) -> dict[str, float]:
    if stated is None:
        return {}
    if isinstance(stated, _Percentiles):
        return {name: bound for name in SHARES if (bound := getattr(stated, name)) is not None}
    return {"p50": float(stated)}


def _check_length(stated: list[str], member: str, max_names: int) -> None:
    if len(stated) > max_names:
        _refuse(member, f"holds {len(stated)} names, more than max_routing_names = {max_names}: send fewer")


def _refuse(member: str, what: str) -> NoReturn:
    raise Refusal(400, "invalid_request", f"`{member}` {what}", member)
