"""The command itself: fast to start, one clear line on failure, exit codes of the contract, no secret printed."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from collector.cli import COMMANDS, main
from collector.core.errors import CallmeterError, LockHeld, UsageError

HEAVY = ("streamlit", "sqlalchemy", "aiohttp", "pandas", "plotly", "alembic", "uvicorn")


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, arguments, env=env)


def test_help_imports_no_heavy_library() -> None:
    code = (
        "import sys\n"
        "from collector.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Commands:" in done.stdout
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = run(name, "--help")
    assert done.exit_code == 0, done.output
    assert COMMANDS[name].hidden or f"callmeter {name}" in done.output or "  callmeter " in done.output


def test_help_works_with_a_broken_settings_file(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[settings\n")
    assert run("--config", str(tmp_path / "c.toml"), "settings", "--help").exit_code == 0
    assert run("--config", str(tmp_path / "c.toml"), "settings").exit_code == 2


@pytest.mark.parametrize(
    ("error", "line", "exit_code"),
    [
        (CallmeterError("it broke"), "callmeter: it broke", 1),
        (UsageError("wrong\nuse"), "callmeter: wrong use", 2),
        (LockHeld("held"), "callmeter: held", 75),
        (FileNotFoundError(2, "No such file or directory", "x.csv"), "callmeter: x.csv: No such file or directory", 1),
        (KeyError("k"), "callmeter: unexpected KeyError: 'k' (set CALLMETER_DEBUG=1 to see where)", 1),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: Exception, line: str, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def fails() -> None:
        raise error

    monkeypatch.setattr(type(COMMANDS["settings"]), "load", lambda entry: fails)
    done = run("settings")
    assert (done.stderr, done.stdout, done.exit_code) == (line + "\n", "", exit_code)


def test_with_debug_set_the_traceback_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def fails() -> None:
        raise KeyError("k")

    monkeypatch.setattr(type(COMMANDS["settings"]), "load", lambda entry: fails)
    assert isinstance(run("settings", env={"CALLMETER_DEBUG": "1"}).exception, KeyError)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["colect"], "callmeter: there is no command `colect`: did you mean `collect`?"),
        (["--nope"], "callmeter: No such option '--nope'. (`callmeter --help` shows how it is used)"),
        (["gateway", "--port", "x"], "callmeter: Invalid value for '--port': 'x' is not a valid integer range."),
    ],
)
def test_wrong_use_is_one_line_and_2(arguments: list[str], line: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_every_command_names_its_ledger_on_stderr(tmp_path: Path) -> None:
    done = run("--data-dir", str(tmp_path), "settings")
    assert done.stderr == f"ledger: sqlite:///{tmp_path}/callmeter.db\n"


@pytest.mark.parametrize("command", [["check"], ["jobs"], ["export", "--from", "2026-10-01", "--to", "2026-10-02"]])
def test_a_reading_command_creates_no_ledger(command: list[str], tmp_path: Path) -> None:
    out = ["--out", str(tmp_path / "o.csv")] if command[0] == "export" else []
    done = run("--data-dir", str(tmp_path / "absent"), *command, *out)
    assert done.exit_code == 1
    assert "callmeter: there is no ledger at" in done.stderr
    assert "run `callmeter up`" in done.stderr
    assert not (tmp_path / "absent").exists()


def test_settings_shows_every_limit_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        """
        [settings]
        zone = "Europe/Berlin"
        limits.max_attempts = 3
        [providers.p]
        base_url = "http://ann:secret@h/v1"
        api_key_env = "THE_KEY"
        [[channels]]
        kind = "slack"
        url = "https://hooks.example.com/secret"
        """
    )
    done = run("--config", str(config), "settings", env={"THE_KEY": "sk-secret"})
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in done.stdout.splitlines()}
    assert rows["zone"].split() == ["Europe/Berlin", str(config)]
    assert rows["limits.max_attempts"].split() == ["3", str(config)]
    assert rows["limits.max_body_bytes"].split() == ["33554432", "default"]
    assert "THE_KEY" in rows["providers.p"]
    assert "secret" not in done.stdout
