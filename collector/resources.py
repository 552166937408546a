"""Where the files that travel with the code are: inside the package in a wheel, at the top level in a checkout."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: str) -> Path:
    """The folder `migrations`, `data/prices` or `data/models`."""
    packed = _PACKAGE / name
    return packed if packed.is_dir() else _PACKAGE.parent / name
