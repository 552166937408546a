"""What can be set: flags, environment and callmeter.toml, read once into one frozen value.

Precedence: flag > environment > callmeter.toml > default. Prices are kept as Decimal, never float.
"""

import os
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from collector.core.budgets import Budget, budget
from collector.core.errors import CallmeterError, SettingsError, UsageError
from collector.core.passwords import check_hash
from collector.core.periods import check_zone
from collector.outside import TABLES as OUTSIDE
from collector.outside import (
    Alerts,
    Backups,
    Channel,
    Probes,
    Pull,
    StatusPage,
    check_address,
    check_pull,
    read_outside,
)
from collector.toml_file import convert, read_toml, unknown_key

Usd = Decimal | int
Seconds = Annotated[float, Meta(gt=0)]
Positive = Annotated[int, Meta(ge=1)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
OperationName = Literal["chat", "completions", "embeddings", "responses", "messages"]

DATA_DIR, LEDGER, CONFIG = "CALLMETER_DATA_DIR", "CALLMETER_LEDGER", "CALLMETER_CONFIG"
GATEWAY_URL = "CALLMETER_GATEWAY_URL"  # set by the supervisor for the dashboard beside the gateway
DEFAULT_CONFIG = "callmeter.toml"


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An upstream API. Without `api_key_env` and `api_key_file` no key is sent; with `pass_key` the caller's own is."""

    base_url: str
    kind: Literal["openai", "anthropic", "openrouter"] = "openai"
    api_key_env: Name | None = None
    api_key_file: Name | None = None  # of mode 600, see provider_keys
    pass_key: bool = False
    data_collection: Literal["allow", "deny"] = "allow"


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model at a provider. Prices that are absent come from the price book."""

    model: Name
    provider: Name
    upstream_model: Name | None = None
    context_tokens: Positive | None = None
    max_output_tokens: Positive | None = None
    operations: tuple[OperationName, ...] | None = None  # None: what a provider of its kind mostly serves
    input_modalities: tuple[str, ...] | None = None
    supported_parameters: tuple[str, ...] | None = None
    quantization: str | None = None
    images: Literal["per image", "in tokens"] | None = None
    input_usd_per_m: Usd | None = None
    cache_read_usd_per_m: Usd | None = None
    output_usd_per_m: Usd | None = None
    image_usd_per_k: Usd | None = None


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every bound, each under [settings.limits] in callmeter.toml."""

    max_body_bytes: Positive = 32 * 1024 * 1024
    max_answer_bytes: Positive = 64 * 1024 * 1024  # a plain answer, held whole
    max_event_bytes: Positive = 16 * 1024 * 1024  # one event of a stream: a picture, or a whole response at its end
    max_header_bytes: Positive = 64 * 1024
    head_wait_s: Seconds = 30.0  # how long a client may take to send the head of a request
    client_wait_s: Seconds = 120.0  # how long a client may take nothing of what it is sent
    max_concurrent_calls: Positive = 2_000
    max_attempts: Positive = 5
    max_routing_names: Positive = 64  # of models, and of each list in a request's `provider`
    max_record_bytes: Positive = 64 * 1024  # one record of the journal
    segment_bytes: Positive = 64 * 1024 * 1024
    journal_bytes: Positive = 4 * 1024 * 1024 * 1024
    batch_calls: Positive = 5_000
    probe_days: Positive = 90  # how long single probes are kept; their sums stay
    max_page_bytes: Positive = 16 * 1024 * 1024  # of an answer to a pull
    max_pages: Positive = 2_000  # of one pull
    pull_days: Positive = 366  # how far back a first pull reads
    pull_tries: Positive = 4
    max_query_days: Positive = 1_100
    row_query_days: Positive = 7
    search_bytes: Positive = 32 * 1024 * 1024  # of the journal, read to find one call in it
    max_waiting_pages: Positive = 64  # requests for models, generations, metrics: running or waiting
    max_prices_per_model: Positive = 2_000  # in the own price file
    usage_wait_s: Seconds = 2.0  # how long a finished stream is read on for its usage
    drain_s: Seconds = 20.0  # how long a stopping gateway waits for running calls


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands under [settings] in callmeter.toml."""

    zone: str = "UTC"
    fsync: Literal["always", "interval"] = "always"
    on_journal_failure: Literal["refuse", "serve"] = "refuse"
    connect_timeout_s: Seconds = 5.0
    first_byte_timeout_s: Seconds = 60.0
    total_timeout_s: Seconds = 600.0
    allowed_origins: tuple[str, ...] = ()  # of web pages that may call the gateway, such as https://app.example
    retention_days: Positive | None = None
    retention_mb: Positive | None = None  # of the ledger's file: the oldest days go first
    heartbeat_url: str | None = None  # asked for after every round of jobs, so that somebody misses it
    limits: Limits = Limits()


class _BudgetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One [[budgets]] as the file states it."""

    scope: str
    period: str
    limit_usd: Usd


class Credit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[[finance.credits]]: a prepayment to a provider. From its day on what is used there is paid by it."""

    provider: Name
    date: date
    usd: Usd
    invoice_id: Name | None = None


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"starts": "from"}):
    """[[finance.plans]]: a flat fee. What is used under it costs nothing more: its metered cost is notional."""

    name: Name
    provider: Name
    usd_per_month: Usd
    starts: date
    until: date | None = None  # not part of it
    key: Name | None = None  # None: whatever key


class Rate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """[[finance.rates]]: what one USD was on a day in another currency, by a named source."""

    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")]
    date: date
    per_usd: Usd
    source: Name


class Finance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What exports for finance say of the account, and money beyond the price lists."""

    billing_account_id: Name | None = None
    billing_account_name: Name | None = None
    invoice_issuer: Name | None = None
    report_currency: Annotated[str, Meta(pattern="^[A-Z]{3}$")] | None = None
    folder: Name | None = None  # where the day's and the month's files are delivered
    formats: tuple[Literal["csv", "jsonl", "parquet", "focus"], ...] = ("csv",)  # of those files
    credits: tuple[Credit, ...] = ()
    plans: tuple[Plan, ...] = ()
    rates: tuple[Rate, ...] = ()


class User(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who may sign in to the dashboard. An admin sees the collector's page too."""

    password_hash: str  # as `callmeter password` prints it
    role: Literal["viewer", "admin"] = "viewer"


class Dashboard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands under [dashboard] in callmeter.toml: who may look, and where the gateway is."""

    gateway_url: str | None = None  # of the gateway as its clients reach it, for the sample code
    names: tuple[Name, ...] = ()  # host names that it is reached by, besides those of this machine
    users: dict[Name, User] = {}
    user_header: Name | None = None  # in which a trusted proxy names who it has let in
    admins: tuple[Name, ...] = ()  # of those that it names
    trusted_proxies: tuple[Name, ...] = ("127.0.0.1", "::1")  # their addresses
    session_hours: Positive = 12

    @property
    def is_closed(self) -> bool:
        """Whether people have to say who they are."""
        return bool(self.users or self.user_header)


# Used where callmeter.toml names no provider, with the caller's own key: /v1 goes to openai and (Messages) anthropic,
# /api/v1 to openrouter.
BUILT_IN = {
    "openai": Provider(base_url="https://api.openai.com/v1", kind="openai", pass_key=True),
    "openrouter": Provider(base_url="https://openrouter.ai/api/v1", kind="openrouter", pass_key=True),
    "anthropic": Provider(base_url="https://api.anthropic.com/v1", kind="anthropic", pass_key=True),
}
_BUILT_IN_URLS = {name: f"CALLMETER_{name.upper()}_URL" for name in BUILT_IN}


class Settings(Choices, frozen=True, kw_only=True):
    """Everything set, with absolute paths."""

    data_dir: Path
    ledger_url: str
    config_path: Path | None = None
    providers: dict[str, Provider] = {}  # of callmeter.toml
    built_in: dict[str, Provider] = msgspec.field(
        default_factory=BUILT_IN.copy
    )  # with their addresses from the environment
    endpoints: tuple[Endpoint, ...] = ()
    budgets: tuple[Budget, ...] = ()
    pulls: dict[str, Pull] = {}
    status_pages: tuple[StatusPage, ...] = ()
    probes: Probes = Probes()
    alerts: Alerts = Alerts()
    channels: tuple[Channel, ...] = ()
    backups: Backups | None = None
    finance: Finance = Finance()
    dashboard: Dashboard = Dashboard()
    origins: dict[str, str] = {}  # setting -> where it came from; absent: default

    @property
    def zones(self) -> frozenset[str]:
        """The declared zones, whose day cells are kept."""
        return frozenset(("UTC", self.zone))

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"

    @property
    def state_path(self) -> Path:
        return self.data_dir / "state.db"


def load_settings(
    data_dir: str | Path | None = None,
    ledger: str | None = None,
    config: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Every setting, from flags (the arguments), the environment, callmeter.toml and defaults, in that order.

    Raises SettingsError that names the flag, variable or file and key, the value, and what to do. Creates nothing.
    """
    data_text, data_from = _first((data_dir, "--data-dir"), (environ.get(DATA_DIR), DATA_DIR), ("data", "default"))
    folder = _data_dir(data_text, data_from)
    ledger_text, ledger_from = _first((ledger, "--ledger"), (environ.get(LEDGER), LEDGER), ("", "default"))
    url = _ledger_url(ledger_text, ledger_from) if ledger_text else f"sqlite:///{folder / 'callmeter.db'}"
    path, path_from = _config_path(config, environ)
    tables = read_toml(path) if path else {}
    origins = {"data_dir": data_from, "ledger_url": ledger_from, "config_path": path_from}
    return Settings(
        data_dir=folder,
        ledger_url=url,
        config_path=path,
        built_in=_built_in(environ),
        **(_read_tables(tables, path) if path else {}),
        origins={name: origin for name, origin in origins.items() if origin != "default"} | _file_origins(tables, path),
    )


TABLES = ("settings", "providers", "endpoints", "budgets", "finance", "dashboard", *OUTSIDE)


def _read_tables(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    for name in tables:
        if name not in TABLES:
            raise SettingsError(f"{path}: {unknown_key(name, list(TABLES), 'the file')}")
    choices = convert(tables.get("settings", {}), Choices, path, "settings")
    providers = _providers(convert(tables.get("providers", {}), dict[str, Any], path, "providers"), path)
    listed = convert(tables.get("endpoints", []), list[Any], path, "endpoints")
    endpoints = tuple(convert(each, Endpoint, path, f"endpoints[{n}]") for n, each in enumerate(listed))
    _check_zone(choices.zone, path)
    for n, origin in enumerate(choices.allowed_origins):
        _check_origin(origin, f"{path}: settings.allowed_origins[{n}]")
    if choices.heartbeat_url:
        check_address(choices.heartbeat_url, f"{path}: settings.heartbeat_url", is_secret=True)
    _check_endpoints(endpoints, providers, path)
    outside = read_outside(tables, path)
    for name, pull in outside["pulls"].items():
        provider = providers.get(name) or BUILT_IN.get(name)
        check_pull(name, pull, provider.kind if provider else None, path)
    return msgspec.structs.asdict(choices) | {
        "providers": providers,
        "endpoints": endpoints,
        "budgets": _budgets(convert(tables.get("budgets", []), list[Any], path, "budgets"), path),
        **outside,
        "finance": _finance(convert(tables.get("finance", {}), dict[str, Any], path, "finance"), path),
        "dashboard": _dashboard(convert(tables.get("dashboard", {}), Dashboard, path, "dashboard"), path),
    }


_FINANCE_LISTS: dict[str, type[Credit] | type[Plan] | type[Rate]] = {"credits": Credit, "plans": Plan, "rates": Rate}


def _finance(table: dict[str, Any], path: Path) -> Finance:
    lists: dict[str, Any] = {}
    for name, kind in _FINANCE_LISTS.items():
        listed = convert(table.get(name, []), list[Any], path, f"finance.{name}")
        lists[name] = tuple(convert(each, kind, path, f"finance.{name}[{n}]") for n, each in enumerate(listed))
    rest = {name: value for name, value in table.items() if name not in _FINANCE_LISTS}
    finance = msgspec.structs.replace(convert(rest, Finance, path, "finance"), **lists)
    for what in (*finance.credits, *finance.plans, *finance.rates):
        _check_amounts(what, path)
    currency = finance.report_currency
    if currency and currency not in {rate.currency for rate in finance.rates}:
        raise SettingsError(f"{path}: finance.report_currency = {currency!r}: no [[finance.rates]] has it: add one")
    return finance


def _check_amounts(what: msgspec.Struct, path: Path) -> None:
    for name, value in msgspec.structs.asdict(what).items():
        if isinstance(value, Decimal | int) and not 0 < value < 10**12:
            kind = next(name for name, each in _FINANCE_LISTS.items() if isinstance(what, each))
            raise SettingsError(f"{path}: finance.{kind}: {name} = {value}: write an amount above 0")


def _providers(tables: dict[str, Any], path: Path) -> dict[str, Provider]:
    providers = {name: convert(each, Provider, path, f"providers.{name}") for name, each in tables.items()}
    for name, provider in providers.items():
        check_address(provider.base_url, f"{path}: providers.{name}.base_url")
        stated = [key for key in ("pass_key", "api_key_env", "api_key_file") if getattr(provider, key)]
        if len(stated) > 1:
            raise SettingsError(f"{path}: [providers.{name}] has both {' and '.join(stated[:2])}: keep one of them")
        if provider.api_key_file is not None:
            file = path.parent / Path(provider.api_key_file).expanduser()  # a relative one is beside the settings file
            providers[name] = msgspec.structs.replace(provider, api_key_file=str(file))
    return providers


def _dashboard(stated: Dashboard, path: Path) -> Dashboard:
    if stated.gateway_url:
        check_address(stated.gateway_url, f"{path}: dashboard.gateway_url")
    if stated.user_header and not stated.names:
        raise SettingsError(f"{path}: dashboard.user_header needs dashboard.names: the host names behind the proxy")
    for name, user in stated.users.items():
        try:
            check_hash(user.password_hash)
        except UsageError as error:
            raise SettingsError(f"{path}: dashboard.users.{name}.password_hash: {error}") from None
    return stated


def _check_endpoints(endpoints: tuple[Endpoint, ...], providers: dict[str, Provider], path: Path) -> None:
    seen: set[tuple[str, str, str | None]] = set()
    for n, each in enumerate(endpoints):
        if each.provider not in providers:
            known = ", ".join(providers) or "none is"
            raise SettingsError(
                f"{path}: endpoints[{n}].provider = {each.provider!r}: no [providers.{each.provider}] stands there"
                f" ({known} defined): add it or correct the name"
            )
        if (key := (each.model, each.provider, each.upstream_model)) in seen:
            raise SettingsError(f"{path}: endpoints[{n}]: {each.model} at {each.provider} stands there twice: drop one")
        seen.add(key)
        for name, value in msgspec.structs.asdict(each).items():
            if "_usd_" in name and value is not None and value < 0:
                raise SettingsError(f"{path}: endpoints[{n}].{name} = {value}: a price is 0 or more")


def _budgets(listed: list[Any], path: Path) -> tuple[Budget, ...]:
    found: dict[tuple[str, str], Budget] = {}
    for n, each in enumerate(listed):
        table = convert(each, _BudgetTable, path, f"budgets[{n}]")
        try:
            one = budget(table.scope, table.period, str(table.limit_usd))
        except CallmeterError as error:
            raise SettingsError(f"{path}: budgets[{n}]: {error}") from error
        if (key := (one.scope, one.period)) in found:
            raise SettingsError(f"{path}: budgets[{n}]: {one.scope} a {one.period} stands there twice: drop one")
        found[key] = one
    return tuple(found.values())


def _check_origin(origin: str, what: str) -> None:
    scheme, _, host = origin.partition("://")
    if scheme not in ("http", "https") or not host or not host.isascii() or any(c in "/?#@* " for c in host):
        raise SettingsError(f"{what} = {origin!r} is not the origin of a page: write it like https://app.example")


def _check_zone(zone: str, path: Path) -> None:
    try:
        check_zone(zone)
    except UsageError as error:
        raise SettingsError(f"{path}: settings.zone: {error}") from error


def _first(*choices: tuple[Any, str]) -> tuple[str, str]:
    return next((str(value), origin) for value, origin in choices if value or origin == "default")


def _data_dir(text: str, origin: str) -> Path:
    folder = Path(text).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"the data directory {folder} (from {origin}) is not a directory: name another one")
    return folder


def _config_path(flag: str | Path | None, environ: Mapping[str, str]) -> tuple[Path | None, str]:
    text, origin = _first((flag, "--config"), (environ.get(CONFIG), CONFIG), (DEFAULT_CONFIG, "default"))
    path = Path(text).expanduser().absolute()
    if path.is_file():
        return path, "./callmeter.toml" if origin == "default" else origin
    if origin == "default":
        return None, "default"
    raise SettingsError(f"the settings file {path} (from {origin}) does not exist: create it or name another one")


def _ledger_url(text: str, origin: str) -> str:
    scheme, separator, place = text.partition(":///")
    if scheme == "sqlite" and separator and place and place != ":memory:":
        return f"sqlite:///{Path(place).expanduser().absolute()}"
    shown = hide_secret(text)
    advice = f"write sqlite:///{Path(text).absolute()}" if "://" not in text else "write sqlite:///PATH"
    raise SettingsError(f"the ledger {shown!r} (from {origin}) is not an address that can be used: {advice}")


def hide_secret(url: str) -> str:
    """An address without the user and password it may carry."""
    scheme, separator, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}***@{place.rsplit('@', 1)[1]}{slash}{path}" if "@" in place else url


def _built_in(environ: Mapping[str, str]) -> dict[str, Provider]:
    built_in = dict(BUILT_IN)
    for name, variable in _BUILT_IN_URLS.items():
        if url := environ.get(variable):
            check_address(url, variable)
            built_in[name] = msgspec.structs.replace(BUILT_IN[name], base_url=url)
    return built_in


def _file_origins(tables: dict[str, Any], path: Path | None) -> dict[str, str]:
    stated = [name for name in tables if name != "settings"]
    for name, value in tables.get("settings", {}).items():
        stated += [f"limits.{limit}" for limit in value] if name == "limits" else [name]
    return {name: str(path) for name in stated}
