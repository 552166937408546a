"""axe-core, the checker of accessibility rules, kept outside the checkout and fetched by npm where it is absent."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from playwright.sync_api import Page

PIN = "4.14.1"
FOLDER = Path.home() / ".cache" / "callmeter-tools" / f"axe-core-{PIN}"
BAD = ("serious", "critical")


@cache
def source() -> str:
    """The script; skips where it is neither here nor to be had."""
    script = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        if not shutil.which("npm"):
            pytest.skip(f"no npm here to fetch axe-core {PIN} with")
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund")
        command = ["npm", "install", "--prefix", str(FOLDER), *options, f"axe-core@{PIN}"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    return script.read_text()


def violations(page: Page) -> list[str]:
    """What axe finds on a page that is serious or worse: rule, the element, why."""
    page.evaluate(f"() => {{ {source()} }}")
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found
        if rule["impact"] in BAD
        for node in rule["nodes"]
    ]
