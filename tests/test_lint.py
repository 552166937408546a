"""Lint, format and types are part of the tests."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    assert run("ruff", "check", ".") == ""


def test_the_code_is_formatted() -> None:
    assert run("ruff", "format", "--check", ".") == ""


def test_types_hold_strictly() -> None:
    assert run("mypy") == ""
