"""The README is held to what is there: its commands parse, every command stands in it, and it stays short."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import click
import pytest
import sqlalchemy as sa

from collector.cli import COMMANDS, main
from collector.core.errors import CallmeterError
from collector.ledger.engines import open_ledger
from collector.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell_commands() -> Iterator[list[str]]:
    """Every `callmeter ...` of the README: of its shell blocks, and in backticks when complete."""
    for line in "".join(blocks("sh")).splitlines():
        for part in line.split("&&"):
            words = shlex.split(part, comments=True)
            if words and words[0].split("/")[-1] == "callmeter":
                yield words[1:]
    for text in re.findall(r"`callmeter ([^`]*)`", README):
        yield shlex.split(re.sub(r"\[.*?\]|\\\|\w+", "", text))  # without what is optional, the first of several


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_its_picture_is_there() -> None:
    (path,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert (ROOT / path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_every_command_stands_in_the_readme() -> None:
    named = {words[0] for words in shell_commands() if words}
    assert {name for name, entry in COMMANDS.items() if not entry.hidden} - named == set()


def test_every_subcommand_stands_in_the_readme() -> None:
    context = click.Context(main, info_name="callmeter")
    named = {tuple(words[:2]) for words in shell_commands() if len(words) > 1}
    for name in main.list_commands(context):
        group = main.get_command(context, name)
        if isinstance(group, click.Group):
            assert {(name, each) for each in group.list_commands(context)} - named == set()


@pytest.mark.parametrize("words", list(shell_commands()), ids=" ".join)
def test_every_command_of_the_readme_is_one_that_callmeter_understands(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsed to the end of the line by the real parser; nothing is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    command: click.Command = main
    context = click.Context(main, info_name="callmeter")
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        assert found is not None, f"the README names `{' '.join(words)}`, which does not exist"
        command, words = found, words[1:]
    command.make_context("callmeter", list(words), resilient_parsing=False)


def test_the_set_up_lines_name_extras_that_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"'\.\[(\w+)\]'", README)
    assert named == ["demo", "test"]
    assert set(named) <= set(extras)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (line,) = [line for line in "".join(blocks("sh")).splitlines() if "pytest" in line]
    assert line in (ROOT / ".ci" / "run").read_text()


def test_its_settings_are_accepted(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    (tmp_path / "callmeter.toml").write_text(text)
    settings = load_settings(tmp_path, config=tmp_path / "callmeter.toml", environ={})
    assert [endpoint.provider for endpoint in settings.endpoints] == ["openai", "azure"]
    assert settings.endpoints[1].image_usd_per_k == Decimal("14.45")


def test_its_columns_are_those_of_the_views(tmp_path: Path) -> None:
    engine = open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}", create=True)
    for view, before in (("v_calls", "has one row per call: "), ("v_attempts", "has one row per attempt:\n")):
        listed = README.split(before)[1].split(".")[0].replace("\n", " ").split(", ")
        assert listed == [column["name"] for column in sa.inspect(engine).get_columns(view)]


def test_exit_codes_are_those_of_the_errors() -> None:
    stated = {int(code) for code in re.findall(r"(\d+) (?:done|failed|wrong|another)", README)}
    kinds, found = [CallmeterError], {0}
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        found.add(kind.exit_code)
    assert stated == found
