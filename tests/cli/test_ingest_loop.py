"""The ingest loop: prices that change while it runs, failures that pass, changes that are seen."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from collector import ingest_loop
from collector.core.errors import LockHeld
from collector.ingest_loop import TICK_US, ingest_forever, is_settled, journal_state
from collector.ledger.engines import open_ledger
from collector.ledger.journal import Writer
from collector.settings import Settings, load_settings
from tests.tables import calls

PRICES = '[[prices]]\nmodel = "own/model"\ninput_usd_per_m = {}\noutput_usd_per_m = 0\n'


class Steps:
    """A stop that lets the loop look a number of times, doing something before each look but the first."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.steps, self.pauses, self.came = list(steps), list[float](), False

    def __call__(self) -> bool:
        return self.came

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.came = not self.steps
        if self.steps:
            self.steps.pop(0)()
        return self.came


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(tmp_path, environ={})


def journal(settings: Settings, line: str) -> None:
    writer = Writer(settings.journal_dir, "gateway", settings.limits, "interval")
    for call in calls(line):
        writer.whole(call)
    writer.stop()


def test_new_prices_hold_from_their_writing_on_and_wrong_ones_change_nothing(settings: Settings) -> None:
    own, said = settings.data_dir / "prices.toml", list[str]()
    steps = Steps(
        lambda: journal(settings, "12:00 openai own/model 1000000/0 ok"),
        lambda: (own.write_text(PRICES.format(2)), journal(settings, "12:01 openai own/model 1000000/0 ok")),
        lambda: (own.write_text(PRICES.format('"x"')), journal(settings, "12:02 openai own/model 1000000/0 ok")),
        lambda: None,
    )
    ingest_forever(settings, steps, said.append)  # type: ignore[arg-type]
    with open_ledger(settings.ledger_url).connect() as connection:
        found = connection.execute(sa.text("SELECT cost_usd FROM v_calls ORDER BY started_at")).scalars().all()
    assert found == [None, "2", "2"]
    assert len(said) == 1
    assert said[0].startswith("the prices stay as they were: ")
    assert str(own) in said[0]


def test_a_failure_is_said_once_and_tried_again_ever_later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[Exception | None] = [OSError("full"), OSError("full"), OSError("full"), LockHeld("held"), None]

    def drain(*args: object) -> None:
        if problem := problems.pop(0):
            raise problem

    monkeypatch.setattr(ingest_loop, "drain", drain)
    said, steps = list[str](), Steps(*[lambda: None] * 4)
    ingest_forever(settings, steps, said.append)  # type: ignore[arg-type]
    assert (said, problems) == (["full"], [])
    assert steps.pauses == [1.0, 2.0, 4.0, 0.25, 0.25]


def test_any_append_changes_the_state_of_the_journal(settings: Settings) -> None:
    assert journal_state(settings.journal_dir) == ()
    writer = Writer(settings.journal_dir, "gateway", settings.limits, "interval")
    states = {journal_state(settings.journal_dir)}
    for call in calls("12:00 openai m 1/1 ok\n12:01 openai m 1/1 ok"):
        writer.whole(call)
        states.add(journal_state(settings.journal_dir))
    writer.stop()
    assert 2 <= len(states) <= 3  # two changes within one tick of the clock look like one
    ((_, _, changed_ns),) = journal_state(settings.journal_dir)
    assert not is_settled(journal_state(settings.journal_dir), changed_ns // 1000)
    assert is_settled(journal_state(settings.journal_dir), changed_ns // 1000 + TICK_US + 1)
