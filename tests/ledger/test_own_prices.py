"""What is added to the user's own price file: all of a file, as it is written, or nothing with one clear sentence."""

from multiprocessing import get_context
from pathlib import Path

import pytest

from collector.core.errors import PriceError
from collector.ledger.book.load import OWN_FILE, load_book, own_sets
from collector.ledger.book.own import add_entries
from collector.settings import Endpoint, Limits, Provider, Settings

CASES = Path(__file__).parents[1] / "cases"
ENTRY = '[[prices]]\nmodel = "acme/x"\ninput_usd_per_m = 1\n'


def refused() -> list[tuple[str, str]]:
    lines = [line for line in (CASES / "refused_prices.txt").read_text().splitlines() if line and line[0] != "#"]
    return list(zip(lines[::2], lines[1::2], strict=True))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", ledger_url="sqlite://")


def add(settings: Settings, text: str, name: str = "new.toml") -> int:
    file = settings.data_dir.parent / name
    file.write_text(text)
    return len(add_entries(settings, file, settings.data_dir / OWN_FILE))


@pytest.mark.parametrize(("text", "said"), refused())
def test_a_wrong_file_is_refused_whole_naming_it_and_the_value(settings: Settings, text: str, said: str) -> None:
    with pytest.raises(PriceError) as error:
        add(settings, text.replace("\\n", "\n").replace("PRICE", ENTRY))
    assert said.replace("OWN", str(settings.data_dir / OWN_FILE)) in str(error.value)
    assert "new.toml" in str(error.value)
    assert not (settings.data_dir / OWN_FILE).exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"# " + b"x" * 10_000_000, "10000002 bytes is more than such a file may have"),
        (b"\xff\xfe[[prices]]", "byte 0 is not UTF-8"),
        (b"[[prices]]\nmodel = 'x'\nhours = " + b"[" * 5_000 + b"]" * 5_000, "lie too deep in each other"),
        (b"[[prices]]\nmodel = 'x'\ninput_usd_per_m = " + b"9" * 6_000, "holds a number that cannot be read"),
    ],
)
def test_what_is_no_price_file_at_all_is_refused(settings: Settings, content: bytes, said: str) -> None:
    file = settings.data_dir.parent / "new.toml"
    file.write_bytes(content)
    with pytest.raises(PriceError, match=said):
        add_entries(settings, file, settings.data_dir / OWN_FILE)


def test_what_is_added_stands_there_as_it_was_written(settings: Settings) -> None:
    assert add(settings, f"# from the contract\n{ENTRY}") == 1
    assert add(settings, ENTRY.replace("acme/x", "acme/y")) == 1
    text = (settings.data_dir / OWN_FILE).read_text()
    assert text == f"# from the contract\n{ENTRY}\n{ENTRY.replace('acme/x', 'acme/y')}"


def test_a_file_in_another_style_is_not_put_behind_one_that_it_would_break(settings: Settings) -> None:
    add(settings, 'prices = [{model = "acme/x", input_usd_per_m = 1}]')
    before = (settings.data_dir / OWN_FILE).read_text()
    with pytest.raises(PriceError, match=r"write each under a line \[\[prices\]\] of its own"):
        add(settings, ENTRY.replace("acme/x", "acme/y"))
    assert (settings.data_dir / OWN_FILE).read_text() == before
    assert [path.name for path in settings.data_dir.iterdir() if path.suffix != ".lock"] == [OWN_FILE]


def _add_in_a_process(data_dir: Path, n: int) -> None:
    add(Settings(data_dir=data_dir, ledger_url="sqlite://"), ENTRY.replace("acme/x", f"acme/{n}"), f"{n}.toml")


def test_two_who_add_at_once_lose_nothing(settings: Settings) -> None:
    processes = [get_context("fork").Process(target=_add_in_a_process, args=(settings.data_dir, n)) for n in range(4)]
    for each in processes:
        each.start()
    for each in processes:
        each.join()
    assert sorted(s.model for s in own_sets(settings)) == [f"acme/{n}" for n in range(4)]


def test_more_prices_of_one_model_than_may_be_are_refused(tmp_path: Path) -> None:
    few = Settings(data_dir=tmp_path / "data", ledger_url="sqlite://", limits=Limits(max_prices_per_model=2))
    assert add(few, ENTRY + f"{ENTRY}provider = 'a'") == 2
    with pytest.raises(PriceError, match=r"3 prices of acme/x are more than limits.max_prices_per_model, 2"):
        add(few, f"{ENTRY}provider = 'b'")


def endpoint_prices(*prices: str) -> Settings:
    endpoints = tuple(
        Endpoint("acme/x", "acme", f"deployment-{n}", input_usd_per_m=int(usd)) for n, usd in enumerate(prices)
    )
    providers = {"acme": Provider("http://127.0.0.1:9/v1")}
    return Settings(data_dir=Path("/nowhere"), ledger_url="sqlite://", providers=providers, endpoints=endpoints)


def test_two_prices_of_one_endpoint_are_refused_naming_both(settings: Settings) -> None:
    assert load_book(endpoint_prices("3", "3")).find("acme/x", "acme", 0).prices == {"input": 3_000_000}
    with pytest.raises(PriceError, match=r"two prices hold at the same time: acme/x at acme .* and acme/x at acme"):
        load_book(endpoint_prices("3", "4"))


def test_a_price_of_an_endpoint_that_cannot_be_held_names_endpoint_key_and_value() -> None:
    with pytest.raises(PriceError, match=r"the endpoint of acme/x at acme: input_usd_per_m = 1\d+ is refused"):
        load_book(endpoint_prices("1" + "0" * 20))
