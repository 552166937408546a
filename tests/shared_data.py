"""The one place that knows where the real traces and usage objects are."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def shared(name: str) -> Path:
    """The path of one real input; skips the test, saying so, where the folder is absent."""
    path = Path(os.environ.get("CALLMETER_TEST_DATA", _DEFAULT)) / name
    if not path.exists():
        pytest.skip(f"real test data is not here: {path} (set CALLMETER_TEST_DATA)")
    return path
