"""The keys of providers: out of the environment, or out of a file that only its owner may read, never of settings."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from collector.core.errors import SettingsError
from collector.settings import Provider

MAX_KEY_BYTES = 4096


def provider_key(name: str, provider: Provider, environ: Mapping[str, str]) -> str | None:
    """The key that calls to a provider bear; None where the settings name none.

    Raises SettingsError, never with the key in it, where the
    variable is not set, or the file is not there, may be read by others or holds no key.
    """
    if provider.api_key_env is not None:
        source, key, advice = provider.api_key_env, environ.get(provider.api_key_env, ""), "export it"
        missing = "is not set"
    elif provider.api_key_file is not None:
        path = Path(provider.api_key_file)
        source, key, advice = str(path), _read(name, path), "write the key into it, and nothing else"
        missing = "is empty"
    else:
        return None
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        what = missing if not key else "holds no key"
        raise SettingsError(f"[providers.{name}] takes its key from {source}, which {what}: {advice}")
    return key


def _read(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise SettingsError(
                    f"[providers.{name}] takes its key from {path}, whose mode {mode:o} lets others read it:"
                    f" run `chmod 600 {path}`"
                )
            return file.read(MAX_KEY_BYTES).decode("latin-1")
    except OSError as error:
        raise SettingsError(
            f"[providers.{name}] takes its key from {path}, which cannot be read: {error.strerror}"
        ) from None
