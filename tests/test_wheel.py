"""callmeter works from its built wheel, from any working directory, with its prices and migrations inside."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CALLS = """time,model,provider,in,out
2026-10-01T10:00:00Z,openai/gpt-4-turbo,openai,1000,500
2026-10-02T10:00:00Z,openai/gpt-4-turbo,openai,2000,10
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this source."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("callmeter-*.whl")
    return built


@pytest.fixture(scope="module")
def callmeter(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of a fresh environment that holds the wheel, and borrows what it depends on from this one."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = folder / "bin" / "callmeter"
    command.write_text(f"#!{folder}/bin/python\nfrom collector.cli import main\nmain()\n")
    command.chmod(0o755)
    return command


def run(callmeter: Path, folder: Path, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [callmeter, *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_prices_models_and_migrations_and_nothing_else_of_the_top_level(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"collector", "dashboard"}
    for folder in ("collector/data/prices/", "collector/data/models/", "collector/migrations/versions/"):
        assert any(name.startswith(folder) and not name.endswith(".keep") for name in names), folder
    assert not [name for name in names if name.endswith((".db", ".jnl"))]


def test_import_and_export_work_from_another_directory(callmeter: Path, tmp_path: Path) -> None:
    (tmp_path / "calls.csv").write_text(CALLS)
    columns = "started_at=time,model=model,provider=provider,input_tokens=in,output_tokens=out"
    assert "Commands:" in run(callmeter, tmp_path, "--help")
    run(callmeter, tmp_path, "import", "calls.csv", "--format", "csv", "--columns", columns)
    period = ["--from", "2026-10-01", "--to", "2026-11-01"]
    run(callmeter, tmp_path, "export", *period, "--by", "model", "--out", "october.csv")
    *_, total = (tmp_path / "october.csv").read_text().splitlines()
    # 3,000 input tokens at $10 and 510 output tokens at $30 a million
    assert total.startswith("TOTAL,")
    assert "0.0453" in total.split(",")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "calls.csv",
        "data",
        "october.csv",
        "october.csv.manifest.json",
    ]
    run(callmeter, tmp_path, "check")
