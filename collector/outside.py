"""What the collector asks of others and tells others: pulls, probes, status pages, alerts, channels, backups.

By default nothing outside the configured providers is asked, and nobody is told.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from collector.core.errors import SettingsError
from collector.toml_file import convert

T = TypeVar("T")
Text = Annotated[str, Meta(min_length=1, max_length=2048)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=600)]
Kind = Literal["openai", "anthropic", "openrouter"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_LISTED = 100  # pulls, status pages, channels: each


class Pull(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is read of a provider's own books, under [pulls.NAME]; NAME is the provider's name in the ledger.

    `kind` and `base_url` default to those of [providers.NAME], else to the provider of that name. `what` narrows the
    pulls of that kind to some of them.
    """

    key_env: Text | None = None  # the environment variable that holds an admin or management key
    kind: Kind | None = None
    base_url: Text | None = None
    what: tuple[str, ...] | None = None


class StatusPage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Statuspage page, one [[status_pages]]: its incidents are shown beside the provider's uptime."""

    provider: Text
    url: Text


class Probes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How configured endpoints are probed, under [probes]: by listing models, which is free."""

    enabled: bool = True
    timeout_s: Annotated[float, Meta(gt=0, le=30)] = 10.0
    token_calls_per_day: Annotated[int, Meta(ge=0, le=144)] = 0  # each costs a few tokens of an endpoint; 0: never
    token_models: tuple[str, ...] = ()  # none: every endpoint


class Alerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When something is worth telling, under [alerts]."""

    silent_hours: Count | None = None  # nothing recorded for so long; not set: silence is normal
    spike_factor: Annotated[float, Meta(gt=1)] = 3.0  # spend of a day, of the dearest of the 14 days before
    spike_least_usd: Annotated[int, Meta(ge=0)] = 10  # a day that costs less is no spike
    price_list_days: Count = 180  # age of the newest look at the prices in use
    journal_mb: Count = 256  # not in the ledger yet


class Channel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told, one [[channels]]. An address may be a secret and is never shown.

    webhook: JSON to `url`, signed with the secret in `secret_env`. slack: the shape of Slack's incoming webhooks.
    smtp: `url` is smtp://user@host:587 or smtps://..., the password in `secret_env`; `to` and `sender` are addresses.
    command: the program and arguments of `command`, with the alert as JSON on its standard input.
    """

    kind: Literal["webhook", "slack", "smtp", "command"]
    name: Text | None = None
    url: Text | None = None
    url_env: Text | None = None  # the environment variable that holds the address
    secret_env: Text | None = None
    to: tuple[Text, ...] = ()
    sender: Text | None = None
    command: tuple[Text, ...] = ()


class Backups(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the daily backup goes, under [backups]."""

    dir: Text
    keep: Count = 7


# What can be pulled of each kind of provider.
WHATS: dict[Kind, tuple[str, ...]] = {
    "openai": ("usage", "costs"),
    "anthropic": ("usage", "costs"),
    "openrouter": ("activity", "credits", "key", "generation", "prices"),
}

TABLES = ("pulls", "status_pages", "probes", "alerts", "channels", "backups")


def kind_of(name: str, pull: Pull, of_provider: Kind | None) -> Kind:
    """The kind of a pull: as stated, else that of the provider of its name, else the one of that name."""
    kind = pull.kind or of_provider or next((kind for kind in KINDS if kind == name), None)
    if kind is None:
        raise SettingsError(f"[pulls.{name}]: {name!r} is no provider that is known: add kind = {' or '.join(KINDS)}")
    return kind


def check_pull(name: str, pull: Pull, of_provider: Kind | None, path: Path) -> None:
    """Raises SettingsError for a pull of which nothing can be made."""
    try:
        kind = kind_of(name, pull, of_provider)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None
    for what in pull.what or ():
        if what not in WHATS[kind]:
            raise SettingsError(
                f"{path}: pulls.{name}.what: {what[:40]!r} is nothing to pull of {kind}: {', '.join(WHATS[kind])}"
            )


def read_outside(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """What the TABLES of a file say. Raises SettingsError naming the key, the value, what to do."""
    pulls = convert(tables.get("pulls", {}), dict[str, Any], path, "pulls")
    fields: dict[str, Any] = {
        "pulls": {name: convert(each, Pull, path, f"pulls.{name}") for name, each in pulls.items()},
        "status_pages": _listed(tables, "status_pages", StatusPage, path),
        "channels": _listed(tables, "channels", Channel, path),
        "probes": convert(tables.get("probes", {}), Probes, path, "probes"),
        "alerts": convert(tables.get("alerts", {}), Alerts, path, "alerts"),
        "backups": convert(tables["backups"], Backups, path, "backups") if "backups" in tables else None,
    }
    for n, page in enumerate(fields["status_pages"]):
        check_address(page.url, f"{path}: status_pages[{n}].url")
    for name, pull in fields["pulls"].items():
        if pull.base_url:
            check_address(pull.base_url, f"{path}: pulls.{name}.base_url")
    for n, channel in enumerate(fields["channels"]):
        _check_channel(channel, f"{path}: channels[{n}]")
    return fields


def check_address(
    url: str, what: str, schemes: tuple[str, ...] = ("http", "https"), *, is_secret: bool = False
) -> None:
    """Raises SettingsError, naming `what`, for text that is no address; one that is secret is not shown."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        shown = "" if is_secret else f" = {url!r}"
        raise SettingsError(f"{what}{shown} is not an address: write it like {schemes[-1]}://host.example.com")


_NEEDED = {"webhook": ("url",), "slack": ("url",), "smtp": ("url", "to", "sender"), "command": ("command",)}
_SCHEMES = {"smtp": ("smtps", "smtp")}


def _check_channel(channel: Channel, what: str) -> None:
    for name in _NEEDED[channel.kind]:
        if not getattr(channel, name) and not (name == "url" and channel.url_env):
            also = " (or url_env, the variable that holds it)" if name == "url" else ""
            raise SettingsError(f"{what}: a channel of kind {channel.kind} needs `{name}`{also}: add it")
    if channel.url:
        check_address(channel.url, f"{what}.url", _SCHEMES.get(channel.kind, ("http", "https")), is_secret=True)
    for address in (*channel.to, *filter(None, [channel.sender])):
        if "@" not in address or not address.isprintable() or any(c in address for c in " ,;<>"):
            raise SettingsError(f"{what}: {address[:80]!r} is not a mail address: write it like ops@example.com")


def _listed(tables: dict[str, Any], name: str, kind: type[T], path: Path) -> tuple[T, ...]:
    listed = convert(tables.get(name, []), list[Any], path, name)
    if len(listed) > MAX_LISTED:
        raise SettingsError(f"{path}: {len(listed)} [[{name}]] are more than {MAX_LISTED}: drop some")
    return tuple(convert(each, kind, path, f"{name}[{n}]") for n, each in enumerate(listed))
