"""The book as it is loaded: what is shipped, the user's file, endpoints, and the genai-prices list."""

import pytest

from collector.core.errors import PriceError
from collector.core.prices import PriceSet, Unpriced, price_usage
from collector.ledger.book import load_book, load_cards
from collector.ledger.book.genai import read_list
from collector.settings import Endpoint, Provider, Settings

NOW = 1_793_000_000_000_000  # 2026-10-26


@pytest.fixture
def settings(tmp_path):
    return Settings(
        data_dir=tmp_path,
        ledger_url="sqlite://",
        providers={
            "openai": Provider(base_url="http://127.0.0.1:9/v1"),
            "my-azure": Provider(base_url="https://eu.openai.azure.com/openai/v1"),
            "local": Provider(base_url="http://127.0.0.1:9/v1"),
            "openrouter": Provider(base_url="https://openrouter.ai/api/v1", kind="openrouter"),
        },
    )


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """The book without any file of the user."""
    book = load_book(
        Settings(
            data_dir=tmp_path_factory.mktemp("empty"),
            ledger_url="sqlite://",
            providers={"my-azure": Provider(base_url="https://eu.openai.azure.com/openai/v1")},
        )
    )
    book.prepare()
    return book


@pytest.mark.parametrize("provider", ["openai", "azure", "openrouter", "any-other", None])
@pytest.mark.parametrize("model", ["openai/gpt-4-turbo", "gpt-4-turbo", "gpt-4-turbo-2024-04-09"])
def test_the_shipped_price_of_gpt_4_turbo_holds_wherever_it_is_sold(settings, model, provider):
    price_set = load_book(settings).find(model, provider, 0)
    assert price_usage({"input": 1_000, "output": 500, "images_in": 2}, price_set).cost == 53_900_000_000
    assert price_set.source == "https://openrouter.ai/openai/gpt-4-turbo"
    assert price_set.checked == "2026-11-23"
    assert price_set.starts is None


def test_the_shipped_card_of_gpt_4_turbo():
    card = load_cards()["openai/gpt-4-turbo"]
    assert (card.created.isoformat(), card.context_tokens, card.max_output_tokens) == ("2024-04-09", 128_000, 4_096)


def test_the_users_file_comes_before_what_is_shipped(settings):
    (settings.data_dir / "prices.toml").write_text('[[prices]]\nmodel = "gpt-4-turbo"\ninput_usd_per_m = 9.5\n')
    price_set = load_book(settings).find("openai/gpt-4-turbo", "openai", 0)
    assert price_set.prices == {"input": 9_500_000}
    assert price_set.listed == {"input": "9.5 USD per 1,000,000"}


def test_an_endpoints_own_price_comes_before_the_users_file(settings):
    (settings.data_dir / "prices.toml").write_text('[[prices]]\nmodel = "gpt-4-turbo"\ninput_usd_per_m = 9.5\n')
    own = Endpoint(model="gpt-4-turbo", provider="openai", input_usd_per_m=8, output_usd_per_m=0)
    book = load_book(Settings(data_dir=settings.data_dir, ledger_url="sqlite://", endpoints=(own,)))
    assert book.find("gpt-4-turbo", "openai", 0).prices == {"input": 8_000_000, "output": 0}
    assert book.find("gpt-4-turbo", "azure", 0).prices == {"input": 9_500_000}


def test_pulled_prices_come_after_the_users_file_and_before_what_is_shipped(settings):
    pulled = PriceSet(model="openai/gpt-4-turbo", provider="openrouter", prices={"input": 3}, source="pulled")
    book = load_book(settings, [pulled])
    assert book.find("openai/gpt-4-turbo", "openrouter", 0).prices == {"input": 3}
    assert book.find("openai/gpt-4-turbo", "openai", 0).prices["input"] == 10_000_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[prices]]\nmodel = ", "is not TOML"),
        ("[prices]\nmodel = 'm'", "two brackets"),
        ("[[price]]\nmodel = 'm'", "'price' is not known here"),
        ("[[prices]]\nmodel = 'm'\ninput_usd_per_m = -1", "input_usd_per_m = -1 is refused"),
        ("[[prices]]\nmodel = 'm'\ninput_usd_per_m = 1\n" * 2, "two prices hold at the same time: m .* and m "),
        ("[[prices]]\nmodel = 'gpt-4-turbo'\ninput_usd_per_m = 0.00001", "gpt-4-turbo .* and openai/gpt-4-turbo"),
    ],
)
def test_a_wrong_file_is_refused_naming_it_and_both_entries(settings, text, said):
    path = settings.data_dir / "prices.toml"
    path.write_text(text)
    with pytest.raises(PriceError, match=said) as error:
        load_book(settings)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("model", "provider", "entry"),
    [
        ("gpt-4o", "openai", "gpt-4o"),
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("gpt-4o-2024-05-13", "openai", "gpt-4o-2024-05-13"),
        ("gpt-4o", "my-azure", "gpt-4o"),
        ("openai/gpt-4o-mini", "openrouter", "openai/gpt-4o-mini"),
        ("claude-sonnet-4-5-20250929", "anthropic", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "anthropic", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4.5", "openrouter", "anthropic/claude-sonnet-4.5"),
        ("anthropic/claude-4.5-sonnet-20250929", "openrouter", "anthropic/claude-sonnet-4.5"),
        ("claude-3-5-haiku-latest", "anthropic", "claude-3-5-haiku-latest"),
        (
            "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
            "bedrock",
            "regional.anthropic.claude-3-5-sonnet-20241022-v2:0",
        ),
        ("models/gemini-2.0-flash-001", "gemini", "gemini-2.0-flash"),
        ("meta-llama/llama-3.3-70b-instruct:free", "openrouter", "meta-llama/llama-3.3-70b-instruct:free"),
    ],
)
def test_a_name_that_the_list_spells_out_is_priced(listed, model, provider, entry):
    assert listed.find(model, provider, NOW).model == entry


@pytest.mark.parametrize(
    ("model", "provider", "reason"),
    [
        ("gpt-4o-foo", "openai", "no price for gpt-4o-foo at openai"),
        ("claude-sonnet-4-5-turbo", "anthropic", "no price for claude-sonnet-4-5-turbo at anthropic"),
        ("gpt-4o", "local", "no price for gpt-4o at local"),
        ("gpt-4o", None, "no price for gpt-4o (no provider is stated)"),
        ("whisper-1", "openai", "no price for whisper-1 at openai: sold by audio_hours"),
        ("gpt-3.5-turbo", "github-copilot", "no price for gpt-3.5-turbo at github-copilot: listed without a price"),
    ],
)
def test_a_name_that_would_have_to_be_guessed_is_unpriced(listed, model, provider, reason):
    assert listed.find(model, provider, NOW) == Unpriced(reason)


def test_the_long_list_is_read_only_when_a_model_asks_for_it(settings, monkeypatch):
    def fail():
        raise AssertionError("read")

    monkeypatch.setattr("collector.ledger.book.genai.read_list", fail)
    book = load_book(settings)
    assert book.find("gpt-4-turbo", "openai", 0).source == "https://openrouter.ai/openai/gpt-4-turbo"
    with pytest.raises(AssertionError, match="read"):
        book.find("gpt-4o", "openai", 0)


def test_a_list_that_cannot_be_read_is_said_with_what_to_do(settings, monkeypatch):
    read_list.cache_clear()
    monkeypatch.setattr("sys.executable", str(settings.data_dir / "no-python"))
    with pytest.raises(PriceError, match=r"genai-prices cannot be read .*pip install 'genai-prices>=0.2.3,<0.3'"):
        load_book(settings).prepare()
