"""The rooms and their directions, read from the imports; the top level; names that Streamlit's sys.path forbids."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOP_LEVEL = {"pyproject.toml", "README.md", "LICENSE", "dashboard", "collector", "tests", "migrations", "data"}
# Each room may import what stands before it in this order, and itself.
ROOMS = ("core", "settings", "ledger", "intake", "finance", "alerts", "jobs", "demo", "cli")
ROOM_OF_MODULE = {
    "toml_file": "settings",
    "resources": "settings",
    "clock": "settings",
    "locks": "settings",
    "outside": "settings",
    "parent": "settings",
    "side_by_side": "settings",
    "signals": "settings",
    "provider_keys": "settings",
    "supervisor": "jobs",
    "schedule": "jobs",
    "ingest_loop": "jobs",
}
NOT_IN_COLLECTOR = {"dashboard", "pandas", "plotly", "streamlit"}
DOOR_TO_DASHBOARD = "collector/cli/dashboard.py"  # starts the other program; nothing else of collector knows it
DASHBOARD_MAY_IMPORT = ("collector.ledger.questions", "collector.core", "collector.finance", "collector.settings")
DASHBOARD_ALSO = {"collector.ledger.engines"}  # to open what the questions are asked of
WITH_STREAMLIT = ("app.py", "cached.py", "access.py", "serve.py", "views/")
INTAKE_MAY_IMPORT = ("collector.ledger.journal", "collector.ledger.book", "collector.ledger.questions")
CORE_MAY_IMPORT = {*sys.stdlib_module_names, "msgspec"}
NO_IO = {"io", "pathlib", "socket", "sqlite3", "subprocess", "tempfile", "shutil", "asyncio"}

Import = tuple[str, str]  # file relative to the root, module


def imports(folder: str) -> Iterator[Import]:
    """Every import of every file under a folder, wherever in the file it stands."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: relative import: write the whole name"
                module = node.module or ""
                yield from ((name, f"{module}.{alias.name}") for alias in node.names)


def room(module: str) -> str | None:
    """The room of `collector.X...`; None for what belongs to no room."""
    parts = module.split(".")
    name = parts[1].removesuffix(".py") if len(parts) > 1 else ""
    return name if name in ROOMS else ROOM_OF_MODULE.get(name)


def breaches(folder: str) -> list[Import]:
    """Imports against the direction of the rooms."""
    found = []
    for file, module in imports(folder):
        if module.startswith("collector."):
            own, other = room(file.removesuffix(".py").replace("/", ".")), room(module)
            if own and other and ROOMS.index(other) > ROOMS.index(own):
                found.append((file, module))
    return found


def test_rooms_import_only_towards_core() -> None:
    assert breaches("collector") == []


def test_every_module_of_collector_is_in_a_room() -> None:
    names = {path.stem for path in (ROOT / "collector").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert names - {"__init__", "__pycache__"} - set(ROOMS) - set(ROOM_OF_MODULE) == set()


def test_core_knows_only_the_standard_library_and_msgspec_and_does_no_io() -> None:
    for file, module in imports("collector/core"):
        assert module.startswith("collector.core") or module.split(".")[0] in CORE_MAY_IMPORT, (file, module)
        assert module.split(".")[0] not in NO_IO, (file, module)
        assert module not in ("time.time", "time.time_ns", "datetime.datetime.now"), (file, module)


def test_collector_never_imports_the_dashboard_or_its_libraries() -> None:
    found = {(file, module) for file, module in imports("collector") if module.split(".")[0] in NOT_IN_COLLECTOR}
    assert found == {(DOOR_TO_DASHBOARD, "dashboard.serve.serve")}


def test_intake_writes_only_to_the_journal() -> None:
    for file, module in imports("collector/intake"):
        if module.startswith("collector.ledger"):
            assert module.startswith(INTAKE_MAY_IMPORT), (file, module)


def test_the_dashboard_asks_questions_and_nothing_else() -> None:
    for file, module in imports("dashboard"):
        if module.startswith("collector"):
            parents = {module, module.rsplit(".", 1)[0]}
            assert module.startswith(DASHBOARD_MAY_IMPORT) or parents & DASHBOARD_ALSO, (file, module)


def test_only_pages_and_the_cache_know_streamlit() -> None:
    for file, module in imports("dashboard"):
        if module.split(".")[0] == "streamlit":
            assert file.removeprefix("dashboard/").startswith(WITH_STREAMLIT), (file, module)


@pytest.mark.parametrize("folder", ["dashboard/figures", "dashboard/frames"])
def test_figures_and_frames_know_no_database(folder: str) -> None:
    assert [found for found in imports(folder) if found[1].split(".")[0] == "sqlalchemy"] == []


def test_no_file_of_the_dashboard_bears_a_standard_module_s_name() -> None:
    stems = {path.stem for path in (ROOT / "dashboard").iterdir()}
    assert stems & set(sys.stdlib_module_names) == set()


def test_the_top_level_holds_what_it_should() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        names = {line.split("/")[0] for line in listed.stdout.splitlines()}
    else:  # an unpacked archive
        names = {path.name for path in ROOT.iterdir()}
    assert {name for name in names if not name.startswith(".")} - TOP_LEVEL == set()


def test_the_check_itself_finds_a_breach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "collector" / "core").mkdir(parents=True)
    (tmp_path / "collector" / "core" / "bad.py").write_text("def f():\n    from collector.ledger import schema\n")
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert breaches("collector") == [("collector/core/bad.py", "collector.ledger.schema")]
