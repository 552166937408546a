"""Settings: flags > environment > callmeter.toml > defaults, and errors that say what to do."""

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from collector.cli import main
from collector.core.budgets import Budget
from collector.core.errors import SettingsError
from collector.settings import BUILT_IN, TABLES, load_settings


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error_of(folder: Path, text: str) -> str:
    (folder / "callmeter.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={})
    assert str(folder / "callmeter.toml") in str(caught.value)
    return str(caught.value).removeprefix(f"{folder / 'callmeter.toml'}: ")


def test_without_anything_set_the_data_is_in_the_working_directory(folder: Path) -> None:
    settings = load_settings(environ={})
    assert settings.data_dir == folder / "data"
    assert settings.ledger_url == f"sqlite:///{folder}/data/callmeter.db"
    assert settings.config_path is None
    assert settings.providers == {}
    assert settings.built_in == BUILT_IN
    assert not (folder / "data").exists()


def test_the_environment_wins_over_defaults(folder: Path) -> None:
    environ = {"CALLMETER_DATA_DIR": "kept", "CALLMETER_LEDGER": "sqlite:///elsewhere/l.db"}
    settings = load_settings(environ=environ)
    assert settings.data_dir == folder / "kept"
    assert settings.ledger_url == f"sqlite:///{folder}/elsewhere/l.db"
    assert settings.origins == {"data_dir": "CALLMETER_DATA_DIR", "ledger_url": "CALLMETER_LEDGER"}


def test_a_flag_wins_over_the_environment(folder: Path) -> None:
    (folder / "own.toml").write_text('[settings]\nzone = "Asia/Kathmandu"\n')
    environ = {"CALLMETER_DATA_DIR": "a", "CALLMETER_LEDGER": "sqlite:///a.db", "CALLMETER_CONFIG": "absent.toml"}
    settings = load_settings("b", "sqlite:///b.db", "own.toml", environ)
    assert (settings.data_dir, settings.ledger_url) == (folder / "b", f"sqlite:///{folder}/b.db")
    assert (settings.config_path, settings.zone) == (folder / "own.toml", "Asia/Kathmandu")


def test_the_file_is_read_whole_and_prices_stay_decimal(folder: Path) -> None:
    (folder / "callmeter.toml").write_text(
        """
        [settings]
        zone = "Europe/Berlin"
        fsync = "interval"
        connect_timeout_s = 2.5
        retention_days = 400
        limits.max_body_bytes = 1_000
        [providers.mine]
        base_url = "http://127.0.0.1:9/v1"
        api_key_env = "MY_KEY"
        [[endpoints]]
        model = "m"
        provider = "mine"
        input_usd_per_m = 0.1
        output_usd_per_m = 10
        [finance]
        billing_account_id = "acme"
        """
    )
    settings = load_settings(environ={})
    assert (settings.zone, settings.fsync, settings.connect_timeout_s) == ("Europe/Berlin", "interval", 2.5)
    assert (settings.retention_days, settings.limits.max_body_bytes) == (400, 1000)
    assert settings.endpoints[0].input_usd_per_m == Decimal("0.1")
    assert settings.endpoints[0].output_usd_per_m == 10
    assert settings.finance.billing_account_id == "acme"


def test_the_built_in_providers_can_be_sent_elsewhere(folder: Path) -> None:
    settings = load_settings(environ={"CALLMETER_OPENAI_URL": "http://127.0.0.1:1/v1"})
    assert settings.built_in["openai"].base_url == "http://127.0.0.1:1/v1"
    assert settings.built_in["openrouter"] == BUILT_IN["openrouter"]


PROVIDER = '[providers.p]\nbase_url = "http://h/v1"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[settings]\nzon = "UTC"\n', "unknown key `zon` in [settings]: did you mean `zone`?"),
        ("[setings]\n", "unknown key `setings` in the file: did you mean `settings`?"),
        (
            "[settings.limits]\nmax_body = 1\n",
            "unknown key `max_body` in [settings.limits]: did you mean `max_body_bytes`?",
        ),
        ('[settings]\nretention_days = "1"\n', "settings.retention_days = '1': expected `int | null`, got `str`"),
        ("[settings]\nretention_days = 0\n", "settings.retention_days = 0: expected `int` >= 1"),
        ("[settings]\nconnect_timeout_s = -1\n", "settings.connect_timeout_s = -1: expected `float` > 0.0"),
        ('[settings]\nfsync = "never"\n', "settings.fsync = 'never': invalid enum value 'never'"),
        ('[settings]\nzone = "Mars/X"\n', "settings.zone: 'Mars/X' is not a time zone"),
        ('[settings]\nallowed_origins = ["app.example"]\n', "settings.allowed_origins[0] = 'app.example' is not the"),
        ('[settings]\nallowed_origins = ["https://*"]\n', "settings.allowed_origins[0] = 'https://*' is not the"),
        (
            PROVIDER + 'api_key_file = "k"\napi_key_env = "K"\n',
            "[providers.p] has both api_key_env and api_key_file: keep one of them",
        ),
        ("[providers.p]\n", "[providers.p] needs `base_url`: add it"),
        ('[providers.p]\nbase_url = "h/v1"\n', "providers.p.base_url = 'h/v1' is not an address"),
        (
            PROVIDER + 'pass_key = true\napi_key_env = "K"\n',
            "[providers.p] has both pass_key and api_key_env: keep one of them",
        ),
        (PROVIDER + '[[endpoints]]\nmodel = "m"\nprovider = "q"\n', "endpoints[0].provider = 'q': no [providers.q]"),
        (
            PROVIDER + '[[endpoints]]\nmodel = "m"\nprovider = "p"\ninput_usd_per_m = -1\n',
            "endpoints[0].input_usd_per_m = -1: a price is 0 or more",
        ),
        (
            PROVIDER + '[[endpoints]]\nmodel = "m"\nprovider = "p"\n' * 2,
            "endpoints[1]: m at p stands there twice: drop one",
        ),
        (
            '[[finance.credits]]\nprovider = "p"\ndate = 2026-10-01\nusd = 0\n',
            "finance.credits: usd = 0: write an amount above 0",
        ),
        (
            '[[finance.plans]]\nname = "n"\nprovider = "p"\nfrom = 2026-10-01\nusd = 2\n',
            "unknown key `usd` in [finance.plans[0]]: known here: from, key, name",
        ),
        ('[finance]\nreport_currency = "eur"\n', "finance.report_currency = 'eur': expected `str` matching"),
        (
            '[finance]\nreport_currency = "EUR"\n',
            "finance.report_currency = 'EUR': no [[finance.rates]] has it: add one",
        ),
        ('[finance]\nformats = ["xlsx"]\n', "finance.formats[0] = 'xlsx': invalid enum value 'xlsx'"),
        ("[settings", "is not TOML: "),
    ],
)
def test_an_error_names_file_key_value_and_what_to_do(folder: Path, text: str, message: str) -> None:
    assert error_of(folder, text).startswith(message)


def test_a_number_that_is_not_finite_is_refused(folder: Path) -> None:
    (folder / "callmeter.toml").write_text("[settings]\nconnect_timeout_s = inf\n")
    with pytest.raises(SettingsError, match="inf is not a number that can be set"):
        load_settings(environ={})


def test_a_settings_file_that_was_asked_for_must_exist(folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"no\.toml \(from CALLMETER_CONFIG\) does not exist"):
        load_settings(environ={"CALLMETER_CONFIG": "no.toml"})


def test_a_data_directory_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "data").write_text("")
    with pytest.raises(SettingsError, match=r"data \(from default\) is not a directory"):
        load_settings(environ={})


@pytest.mark.parametrize("url", ["ledger.db", "sqlite://", "sqlite:///:memory:", "oracle://u:secret@h/db"])
def test_a_ledger_that_cannot_be_used_is_refused_without_its_password(folder: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="from --ledger") as caught:
        load_settings(ledger=url, environ={})
    assert "secret" not in str(caught.value)


def test_budgets_are_read_in_picodollars(folder: Path) -> None:
    (folder / "callmeter.toml").write_text(
        '[[budgets]]\nscope = "app:web"\nperiod = "day"\nlimit_usd = 0.1\n'
        '[[budgets]]\nscope = "app:web"\nperiod = "month"\nlimit_usd = 2\n'
    )
    budgets = load_settings(environ={}).budgets
    assert budgets == (Budget("app:web", "day", 100_000_000_000), Budget("app:web", "month", 2_000_000_000_000))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('scope = "app:a"\nperiod = "day"', "[budgets[0]] needs `limit_usd`: add it"),
        (
            'scope = "a"\nperiod = "day"\nlimit_usd = 1',
            "budgets[0]: 'a' is not the scope of a budget: write model:NAME",
        ),
        ('scope = "all"\nperiod = "year"\nlimit_usd = 1', "budgets[0]: 'year' is not the period of a budget"),
        ('scope = "all"\nperiod = "day"\nlimit_usd = 0', "budgets[0]: 0 USD is not a limit"),
        ('scope = "all"\nperiod = "day"\nlimit_usd = 1\nlimits = 2', "unknown key `limits` in [budgets[0]]"),
        (
            'scope = "all"\nperiod = "day"\nlimit_usd = 1\n[[budgets]]\nscope = "all"\nperiod = "day"\nlimit_usd = 2',
            "budgets[1]: all a day stands there twice: drop one",
        ),
    ],
)
def test_a_wrong_budget_is_an_error_that_names_it(folder: Path, table: str, message: str) -> None:
    assert error_of(folder, f"[[budgets]]\n{table}").startswith(message)


def test_the_example_that_is_printed_is_accepted_and_says_all_that_can_be_set(folder: Path) -> None:
    printed = CliRunner().invoke(main, ["settings", "--example"])
    (folder / "callmeter.toml").write_text(printed.stdout)
    settings = load_settings(folder, config=folder / "callmeter.toml", environ={})
    assert (settings.channels[0].kind, settings.budgets[0].period) == ("webhook", "month")
    assert set(TABLES) - set(tomllib.loads(printed.stdout)) == set()
