"""`callmeter password`, and what the settings make of its hash."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli import main
from collector.core.errors import SettingsError
from collector.core.passwords import is_password
from collector.settings import load_settings


def test_the_hash_of_a_password_is_printed_and_nothing_else() -> None:
    done = CliRunner().invoke(main, ["password", "--stdin"], input="correct horse\n")
    assert done.exit_code == 0
    assert is_password("correct horse", done.stdout.strip())
    assert "correct" not in done.output


def test_it_asks_twice() -> None:
    done = CliRunner().invoke(main, ["password"], input="correct horse\ncorrect horse\n")
    assert is_password("correct horse", done.stdout.strip().splitlines()[-1])


def test_settings_take_the_hash_and_never_show_it(tmp_path: Path) -> None:
    kept = CliRunner().invoke(main, ["password", "--stdin"], input="correct horse\n").stdout.strip()
    config = tmp_path / "callmeter.toml"
    config.write_text(f'[dashboard]\n[dashboard.users.ann]\npassword_hash = "{kept}"\nrole = "admin"\n')
    its = load_settings(tmp_path, config=config, environ={}).dashboard
    assert its.users["ann"].role == "admin"
    assert its.is_closed
    shown = CliRunner().invoke(main, ["--data-dir", str(tmp_path), "--config", str(config), "settings"]).output
    assert "ann = admin" in shown
    assert kept not in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[dashboard.users.ann]\npassword_hash = "hunter2hunter2"\n', "dashboard.users.ann.password_hash: this is not"),
        ('[dashboard]\nuser_header = "X-User"\n', "dashboard.user_header needs dashboard.names"),
        ('[dashboard]\ngateway_url = "nonsense"\n', "dashboard.gateway_url = 'nonsense' is not an address"),
        ('[dashboard]\npasword = "x"\n', "pasword"),
    ],
)
def test_what_is_wrong_is_named_without_the_secret(tmp_path: Path, text: str, said: str) -> None:
    config = tmp_path / "callmeter.toml"
    config.write_text(text)
    with pytest.raises(SettingsError) as raised:
        load_settings(tmp_path, config=config, environ={})
    assert said in str(raised.value)
    assert "hunter2" not in str(raised.value)
