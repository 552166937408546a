"""What can be set: flags, environment and callmeter.toml, read once into one frozen value.

Precedence: flag > environment > callmeter.toml > default. Prices and all other decimals are kept as Decimal, never float.
"""

import os
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from collector.core.errors import SettingsError

Usd = Decimal | int


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An upstream API. Without `api_key_env` no key is sent; with `pass_key` the caller's own key is."""

    base_url: str
    kind: Literal["openai", "anthropic", "openrouter"] = "openai"
    api_key_env: str | None = None
    pass_key: bool = False
    data_collection: Literal["allow", "deny"] = "allow"


class Endpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model at a provider. Prices that are absent come from the price book."""

    model: str
    provider: str
    upstream_model: str | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    operations: tuple[str, ...] = ("chat",)
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

    max_body_bytes: int = 32 * 1024 * 1024
    max_answer_bytes: int = 64 * 1024 * 1024  # a plain answer, held whole
    max_stream_copy_bytes: int = 4 * 1024 * 1024  # of a stream, kept to be parsed
    max_event_bytes: int = 1024 * 1024  # one event of a stream
    max_header_bytes: int = 64 * 1024
    max_concurrent_calls: int = 2_000
    max_attempts: int = 5
    max_record_bytes: int = 64 * 1024  # one record of the journal
    segment_bytes: int = 64 * 1024 * 1024
    journal_bytes: int = 4 * 1024 * 1024 * 1024
    batch_calls: int = 2_000
    max_query_days: int = 1_100
    row_query_days: int = 7
    usage_wait_s: float = 2.0  # how long a finished stream is read on for its usage
    drain_s: float = 20.0  # how long a stopping gateway waits for running calls


class Settings(msgspec.Struct, frozen=True):
    """Everything set, with absolute paths."""

    data_dir: Path
    ledger_url: str
    config_path: Path | None = None
    zone: str = "UTC"
    fsync: Literal["always", "interval"] = "always"
    on_journal_failure: Literal["refuse", "serve"] = "refuse"
    connect_timeout_s: float = 5.0
    first_byte_timeout_s: float = 60.0
    total_timeout_s: float = 600.0
    retention_days: int | None = None
    limits: Limits = Limits()
    providers: dict[str, Provider] = {}
    endpoints: tuple[Endpoint, ...] = ()
    budgets: tuple[dict[str, Any], ...] = ()
    channels: tuple[dict[str, Any], ...] = ()
    finance: dict[str, Any] = {}

    @property
    def journal_dir(self) -> Path:
        return self.data_dir / "journal"

    @property
    def state_path(self) -> Path:
        return self.data_dir / "state.db"
