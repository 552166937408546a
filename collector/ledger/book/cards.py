"""Cards of models and the names by which models and providers meet: data/models."""

from datetime import date
from functools import cache
from pathlib import Path

import msgspec

from collector.core.errors import PriceError, SettingsError
from collector.core.prices.names import ListedProvider, Names
from collector.resources import resource_dir
from collector.toml_file import read_toml


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model besides its prices. Sizes in tokens; absent: not known."""

    id: str
    source: str
    name: str | None = None
    description: str | None = None
    training_data: str | None = None  # up to when
    created: date | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    input_modalities: tuple[str, ...] = ()
    output_modalities: tuple[str, ...] = ()


class Card(Known, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of data/models says of a model."""

    checked: date
    aliases: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[Card, ...] = ()
    providers: tuple[ListedProvider, ...] = ()


@cache
def load_cards() -> dict[str, Card]:
    """All cards of data/models by model id. Raises PriceError for a file that cannot be read."""
    return {card.id: card for file in _files() for card in file.models}


@cache
def listed_providers() -> tuple[ListedProvider, ...]:
    """The providers that price lists know, with their names and hosts."""
    return tuple(provider for file in _files() for provider in file.providers)


def load_names() -> Names:
    """The tables of names of data/models. Raises PriceError for an alias that means two models."""
    models: dict[str, str] = {}
    for card in load_cards().values():
        for alias in (card.id, *card.aliases):
            if models.setdefault(alias.lower(), card.id.lower()) != card.id.lower():
                raise PriceError(f"data/models: {alias!r} is an alias of both {models[alias.lower()]} and {card.id}")
    aliases = {card.id.lower(): tuple(a.lower() for a in card.aliases) for card in load_cards().values()}
    providers = {name.lower(): p.id for p in listed_providers() for name in (p.id, *p.names)}
    return Names(models, aliases, providers)


@cache
def _files() -> tuple[_File, ...]:
    return tuple(_read(path) for path in sorted(resource_dir("data/models").glob("*.toml")))


def _read(path: Path) -> _File:
    try:
        return msgspec.convert(read_toml(path), _File)
    except (msgspec.ValidationError, SettingsError) as error:
        raise PriceError(f"{path}: {error}") from None
