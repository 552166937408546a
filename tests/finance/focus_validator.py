"""focus-validator 2.2.1 in its own environment, and what it says of a file."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

_MAKE = Path(__file__).resolve().parents[2] / ".ci" / "focus-validator"
_NO_PYTHON = 3  # exit code of _MAKE
# Without them most rules are skipped, and a poor file passes.
_CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED,PUBLIC_PRICE_LIST_SUPPORTED,USAGE_MEASUREMENT_SUPPORTED,UNIT_PRICING_SUPPORTED,"
    "SUB_ACCOUNT_SUPPORTED,MULTIPLE_SUB_ACCOUNT_TYPES_SUPPORTED,MULTIPLE_PRICING_CATEGORIES_SUPPORTED,"
    "NEGOTIATED_PRICING_SUPPORTED,MULTIPLE_BILLING_ACCOUNT_TYPES_SUPPORTED,TAGGING_SUPPORTED"
)


class Verdict(NamedTuple):
    """How many rules passed and failed, and which failed."""

    passed: int
    failed: int
    rules: list[str]


@cache
def environment() -> Path:
    """The validator's environment, made where it is absent; skips the test where no Python can hold it."""
    made = subprocess.run([_MAKE], capture_output=True, text=True, check=False, timeout=600)
    if made.returncode == _NO_PYTHON:
        pytest.skip(made.stderr.strip())
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip())


def verdict(file: Path) -> Verdict:
    """What the validator says; its exit code says nothing, so its `Total:` line is read."""
    venv = environment()
    (package,) = venv.glob("lib/python3.*/site-packages/focus_validator")
    folder = file.parent / "validator"
    folder.mkdir(exist_ok=True)
    if not (folder / "focus_validator").exists():
        (folder / "focus_validator").symlink_to(package)  # it reads a list by a path relative to where it runs
    done = subprocess.run(
        [venv / "bin" / "focus-validator", "--data-file", file, "--validate-version", "1.2", "--block-download",
         "--show-violations", "--applicability-criteria", _CRITERIA],
        cwd=folder, env=os.environ | {"PYTHONIOENCODING": "utf-8"}, capture_output=True, text=True, check=False,
        timeout=300,
    )  # fmt: skip
    total = re.search(r"Total: 578 \| Pass: (\d+) \| Fail: (\d+)", done.stdout)
    assert total, done.stdout[-2_000:] + done.stderr[-2_000:]
    return Verdict(int(total[1]), int(total[2]), re.findall(r"(\S+): FAIL", done.stdout))
