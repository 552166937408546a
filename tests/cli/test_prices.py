"""`callmeter prices`: what it prints, and what it refuses."""

import re

import pytest
from click.testing import CliRunner

from collector.cli import main

CONTRACT = """\
[[prices]]
model = "gpt-4-turbo"
provider = "azure"
input_usd_per_m = 8.50
output_usd_per_m = 30
from = 2026-10-01
source = "contract 17"
checked = 2026-10-02
"""


@pytest.fixture
def run(tmp_path):
    def run(*words):
        result = CliRunner().invoke(main, ["--data-dir", str(tmp_path / "data"), "prices", *map(str, words)])
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.fixture
def contract(tmp_path):
    path = tmp_path / "contract.toml"
    path.write_text(CONTRACT)
    return path


def test_list_shows_what_is_shipped(run):
    code, out, _ = run("list")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("openai/gpt-4-turbo "))
    assert line.split()[:7] == ["openai/gpt-4-turbo", "any", "standard", "tier", "10", "30", "data/prices"]


def test_list_and_check_say_of_every_set_who_stated_it_and_how_old_that_is(run, contract):
    run("add", contract)
    (said,) = [line for line in run("list")[1].splitlines() if "contract 17" in line]
    assert re.search(r"Stated by contract 17, read on 2026-10-02, (today|[\d,]+ days? ago|a day .* to come)\.$", said)
    listed = run("list", "--all", "--model", "gpt-4o-mini")[1].splitlines()[1:]
    assert len(listed) > 5
    assert all("  Stated by " in line for line in listed)
    code, out, _ = run("check")
    assert code == 0
    assert re.search(r"^source: 1 entry\. Stated by contract 17, read on 2026-10-02, .*\.$", out, re.M)
    checked = int(re.search(r"^(\d+) entries checked", out, re.M)[1])
    assert sum(int(n) for n in re.findall(r"^source: (\d+) entr", out, re.M)) == checked


def test_a_source_that_was_read_long_ago_or_is_yet_to_be_read_is_noticed(run, tmp_path):
    path = tmp_path / "old.toml"
    path.write_text(
        "\n".join(f'[[prices]]\nmodel = "acme/{n}"\ninput_usd_per_m = 1\nchecked = {n}-01-31' for n in (2020, 2999))
    )
    run("add", path)
    out = run("check")[1]
    assert re.search(r"notice: acme/2020 .*read on 2020-01-31, [\d,]+ days ago\. Read it again", out)
    assert re.search(r"notice: acme/2999 .*read on 2999-01-31, a day that is still to come\. Read it again", out)


def test_show_says_prices_rules_source_and_what_images_add(run):
    code, out, _ = run("show", "gpt-4-turbo", "--provider", "any-shop")
    assert code == 0
    assert "14,450,000,000 p$ per image    listed: 14.45 USD per 1,000" in out
    assert "cache_read                   10,000,000 p$ per token    at the price of input" in out
    assert "Stated by https://openrouter.ai/openai/gpt-4-turbo, read on 2026-11-23" in out
    assert 'images = "in tokens"' in out


def test_show_at_a_date_shows_what_was_in_force_then(run):
    before, after = (
        run("show", "o3", "--provider", "openai", "--at", "2025-06-09"),
        run("show", "o3", "--at", "2025-06-10"),
    )
    assert "10,000,000 p$ per token    listed: 10 USD" in before[1]
    assert "2,000,000 p$ per token    listed: 2 USD" not in before[1]
    assert "2,000,000 p$ per token    listed: 2 USD" in after[1]


def test_show_of_an_unknown_model_says_where_to_put_a_price(run):
    code, _, err = run("show", "nope", "--provider", "lab")
    assert code == 1
    assert "no price for nope at lab: add a [[prices]] entry to" in err


def test_a_date_that_is_none_is_wrong_use(run):
    code, _, err = run("show", "gpt-4-turbo", "--at", "soon")
    assert code == 2
    assert "--at = 'soon' is not a date" in err


def test_add_keeps_the_text_and_refuses_it_twice(run, contract, tmp_path):
    assert run("add", contract)[0] == 0
    own = tmp_path / "data" / "prices.toml"
    assert own.read_text() == CONTRACT
    code, _, err = run("add", contract)
    assert code == 1
    assert "two prices hold at the same time" in err
    assert own.read_text() == CONTRACT
    assert "8.5  " in run("list")[1]
    assert "contract 17, read on 2026-10-02" in run("show", "gpt-4-turbo", "--provider", "azure")[1]


def test_add_refuses_a_price_a_thousand_times_off_the_long_list(run, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('[[prices]]\nmodel = "gpt-4o"\ninput_usd_per_m = 0.0000025\n')
    code, _, err = run("add", path)
    assert code == 1
    assert "input differs by 1,000 times or more" in err
    assert "gpt-4o at openai (genai-prices" in err
    assert not (tmp_path / "data" / "prices.toml").exists()


def test_diff_shows_old_and_new_price(run, contract):
    code, out, _ = run("diff", contract)
    assert code == 0
    assert "input 0.00001 -> 0.0000085 USD per token (-15.0%)" in out
    assert "images_in 0.01445 -> not listed USD per image" in out
    assert "output" not in out


def test_check_lists_every_wrong_entry_and_fails(run, tmp_path):
    assert run("check")[0] == 0
    own = tmp_path / "data" / "prices.toml"
    own.parent.mkdir()
    own.write_text(CONTRACT * 2 + '[[prices]]\nmodel = "gpt-4-turbo"\ninput_usd_per_m = 0.00001\n')
    code, out, _ = run("check")
    assert code == 1
    assert "wrong: two prices hold at the same time: gpt-4-turbo at azure, from 2026-10-01 (contract 17) and" in out
    assert "wrong: input differs by 1,000 times or more" in out
