"""The crontab line and the crontab around it."""

import os
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from collector.cli import main
from collector.schedule import crontab_line, with_line, without_line
from collector.settings import Settings

OTHERS = "MAILTO=me\n# mine\n0 4 * * * /usr/bin/backup\n"
DIR = Path("/srv/calls")


def test_the_line_has_absolute_paths_only() -> None:
    settings = Settings(data_dir=DIR, ledger_url="sqlite:////srv/calls/callmeter.db", config_path=Path("/etc/c.toml"))
    line = crontab_line(settings, Path("/home/me"))
    assert line.startswith("* * * * * cd /home/me && /")
    assert line.endswith(
        " -P -m collector.cli --data-dir /srv/calls --ledger sqlite:////srv/calls/callmeter.db"
        " --config /etc/c.toml collect > /srv/calls/collect.log 2>&1"
    )


def test_spaces_quotes_and_percent_signs_reach_the_shell_unharmed() -> None:
    settings = Settings(data_dir=Path("/my data/100%/it's"), ledger_url="sqlite:////x.db")
    line = crontab_line(settings, Path("/"))
    assert "'/my data/100\\%/it'\"'\"'s'" in line


def test_installing_twice_is_installing_once() -> None:
    once = with_line(OTHERS, "* * * * * x", DIR)
    assert once == OTHERS + "# callmeter begin /srv/calls\n* * * * * x\n# callmeter end /srv/calls\n"
    assert with_line(once, "* * * * * x", DIR) == once
    assert with_line(once, "* * * * * y", DIR) == once.replace("* x", "* y")


def test_removing_leaves_the_rest_as_it_was() -> None:
    assert without_line(with_line(OTHERS, "* * * * * x", DIR), DIR) == OTHERS
    assert without_line(with_line("", "* * * * * x", DIR), DIR) == ""
    assert without_line(OTHERS, DIR) == OTHERS


def test_two_data_directories_have_a_line_each() -> None:
    both = with_line(with_line("", "* * * * * x", DIR), "* * * * * y", Path("/srv/other"))
    assert without_line(both, DIR) == with_line("", "* * * * * y", Path("/srv/other"))


@pytest.fixture
def fake_crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `crontab` that keeps its table in a file."""
    table = tmp_path / "table"
    script = tmp_path / "bin" / "crontab"
    script.parent.mkdir()
    script.write_text(
        f"""#!/bin/sh
case "$1" in
-l) cat {table} 2>/dev/null || {{ echo "no crontab for me" >&2; exit 1; }} ;;
-r) rm -f {table} ;;
-) cat > {table} ;;
esac
"""
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    return table


def schedule(data_dir: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--data-dir", str(data_dir), "schedule", *arguments])


def test_the_command_installs_once_and_removes(fake_crontab: Path, tmp_path: Path) -> None:
    fake_crontab.write_text(OTHERS)
    printed = schedule(tmp_path).stdout
    assert schedule(tmp_path, "--install").exit_code == 0
    installed = fake_crontab.read_text()
    assert installed == with_line(OTHERS, printed.strip(), tmp_path)
    assert "already so" in schedule(tmp_path, "--install").stderr
    assert fake_crontab.read_text() == installed
    assert schedule(tmp_path, "--remove").exit_code == 0
    assert fake_crontab.read_text() == OTHERS


def test_a_crontab_that_becomes_empty_is_removed(fake_crontab: Path, tmp_path: Path) -> None:
    schedule(tmp_path, "--install")
    schedule(tmp_path, "--remove")
    assert not fake_crontab.exists()


def test_without_crontab_on_the_machine_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = schedule(tmp_path, "--install")
    assert done.exit_code == 1
    assert "there is no `crontab` on this machine: install cron" in done.stderr
