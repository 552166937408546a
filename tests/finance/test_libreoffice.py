"""A spreadsheet opens the CSV: it runs nothing, shows every text as it is written, and holds numbers to 15 digits."""

import csv
import io
import shutil
import subprocess
import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from collector.core.periods import parse_period
from collector.finance.export import Request, export
from tests.random_calls import HOSTILE
from tests.stored import NOW_US, ZONES, store
from tests.tables import call

SOFFICE = shutil.which("soffice")
TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
READ_AS = "--infilter=CSV:44,34,76,1"  # comma, double quote, UTF-8, from line 1; formulas are run, if there are any
FORMULAS = ["=6*7", "+6*7", "-6*7", "@SUM(6;7)", "'=6*7", "=HYPERLINK(0;42)", "\t=6*7", "\r=6*7", "=DDE(1;2;3)"]
COSTS = [1, -1, 123_456_789_012, 10**17, -99_999_999_999_999_999, 53_900_000_000]
NUMBERS = ("quantity", "unit_price_usd", "cost_usd")


def opened(file: Path, folder: Path) -> list[list[ET.Element]]:
    """The cells as LibreOffice holds them after it opened the file with its defaults."""
    if SOFFICE is None:
        pytest.skip("LibreOffice is not installed: apt-get install libreoffice-calc")
    profile = f"-env:UserInstallation=file://{folder / 'profile'}"
    command = [SOFFICE, profile, "--headless", READ_AS, "--convert-to", "fods", "--outdir", folder, file]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    rows = ET.parse(folder / f"{file.stem}.fods").iter(f"{TABLE}table-row")
    return [[cell for cell in row for _ in range(repeats(cell))] for row in rows]


def repeats(cell: ET.Element) -> int:
    return min(100, int(cell.get(f"{TABLE}number-columns-repeated", "1")))


def shown(cell: ET.Element) -> str:
    """The text of a cell: ODF writes tabs and runs of spaces as elements."""
    return "".join(part for line in cell.iter(f"{TEXT}p") for part in line.itertext())


def digits(text: str) -> Decimal:
    """A number to 15 significant digits."""
    return Decimal(f"{Decimal(text):.14e}")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The lines of a file as they were written, and as they were opened."""
    folder = tmp_path_factory.mktemp("office")
    some = [
        msgspec.structs.replace(
            call(f"2026-10-{1 + n % 28:02d}T12:00 openai m {10**n % 999_983}/7 ok cost={COSTS[n % len(COSTS)]}"),
            app=text,
        )
        for n, text in enumerate([*FORMULAS, *HOSTILE])
    ]
    engine, out = store(folder, some), folder / "out.csv"
    export(engine, ZONES, Request(parse_period("2026-10", "UTC", NOW_US), ("app", "day")), out)
    engine.dispose()
    ours = list(csv.reader(io.StringIO(out.read_text(), newline="")))
    return ours, opened(out, folder)[: len(ours)]


def test_no_formula_is_run_and_no_cell_is_a_link(both):
    ours, theirs = both
    for mine, seen in zip(ours, theirs, strict=True):
        assert not [cell.get(f"{TABLE}formula") for cell in seen if cell.get(f"{TABLE}formula")]
        assert not [link for cell in seen for link in cell.iter(f"{TEXT}a")]
        if not mine[0].isdigit():  # a name of digits alone is shown as a number
            assert shown(seen[0]) == mine[0].replace("\t", "").replace("\r", "")


def test_a_formula_would_have_been_run(tmp_path):
    (tmp_path / "bad.csv").write_text("app\n=6*7\n")
    (_, (cell, *_), *_) = opened(tmp_path / "bad.csv", tmp_path)
    assert (cell.get(f"{TABLE}formula"), cell.get(f"{OFFICE}value")) == ("of:=6*7", "42")


def test_numbers_are_equal_to_15_significant_digits(both):
    ours, theirs = both
    for mine, seen in zip(ours[1:], theirs[1:], strict=True):
        for at in map(ours[0].index, NUMBERS):
            if mine[at]:
                assert seen[at].get(f"{OFFICE}value-type") == "float"
                assert digits(seen[at].get(f"{OFFICE}value")) == digits(mine[at])
            else:
                assert shown(seen[at]) == ""
