"""state.db is damaged while the gateway runs: it is put aside once, told once, and no limit forgets what was spent."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from collector.core.budgets import Budget
from collector.core.calls import Call, Quality
from collector.core.outcomes import Outcome
from collector.intake.gateway.server import services_of
from collector.intake.gateway.shared.budgets import Claim
from collector.intake.gateway.shared.keys import create
from collector.intake.gateway.shared.state import State
from tests.gateway.inside import ANSWER, QUESTION, Inside, plain
from tests.gateway.test_keys import bearer
from tests.gateway.test_spending import COST, RESERVE, USD, asked, spent
from tests.stored import store

DAY = Budget("all", "day", 50 * USD)


def all_of_it(path: Path) -> None:
    """Nothing of it can be read any more."""
    path.write_bytes(b"this is no database, whatever its name says" * 1000)


def what_says_how_endpoints_fared(path: Path) -> None:
    """One table of it cannot be read any more."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'health'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def set_aside(folder: Path) -> list[Path]:
    return [each for each in folder.glob("state.db.damaged-*") if not each.name.endswith(("-wal", "-shm"))]


def recorded(picousd: int, key: str) -> Call:
    now = time.time_ns() // 1000
    return Call(
        "0" * 32, "gateway", now, Outcome.OK, model="m", provider="one", app="web", key=key,
        meters={"input": 5}, quality=Quality.EXACT, cost=picousd,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("damage", "whole"), [(all_of_it, False), (what_says_how_endpoints_fared, True)], ids=["all", "one table"]
)
def test_a_damaged_file_is_put_aside_and_keys_and_limits_hold(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None], whole: bool
) -> None:
    path = tmp_path / "state.db"
    key, text = create(State(path), "web", time.time_ns() // 1000, limit=USD, period="day", rpm=1000)
    assert key.budget is not None
    store(tmp_path, [recorded(777, key.id)]).dispose()

    async def what(gateway: Inside) -> None:
        shared = gateway.gateway._shared
        assert (await gateway.ask(QUESTION, **bearer(text))).status == 200
        await shared._save()
        assert shared._connection is not None
        shared._connection.close()  # as another process would find the file
        shared._connection = None
        damage(path)
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                await shared._save()
        assert (await gateway.ask(QUESTION, **bearer(text))).status == 200
        assert (await gateway.ask(QUESTION)).status == 401

    url = f"sqlite:///{tmp_path}/callmeter.db"
    asked(tmp_path, what, plain(ANSWER), plain(ANSWER), budgets=(DAY,), ledger_url=url)
    (told,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert f"{path} was damaged: it is now state.db.damaged-" in told
    assert ("taken over whole" in told) is whole
    assert ("what the ledger says" in told) is not whole
    assert len(set_aside(tmp_path)) == 1
    assert spent(tmp_path, DAY) == (777 + (2 if whole else 1) * COST, 0)
    assert spent(tmp_path, key.budget) == (2 * COST if whole else 777 + COST, 0)


@pytest.mark.parametrize("damage", [all_of_it, what_says_how_endpoints_fared], ids=["all", "one table"])
def test_a_call_that_runs_meanwhile_keeps_its_reservation_and_is_settled(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    go_on = asyncio.Event()

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(plain(ANSWER))
        writer.close()

    async def what(gateway: Inside) -> None:
        shared = gateway.gateway._shared
        running = asyncio.create_task(gateway.ask(QUESTION))
        while not gateway.providers["one"].requests:
            await asyncio.sleep(0.005)
        held = spent(tmp_path, DAY)
        assert held == (0, RESERVE)
        assert shared._connection is not None
        shared._connection.close()
        damage(tmp_path / "state.db")
        await shared._save()
        assert spent(tmp_path, DAY) == held
        go_on.set()
        assert (await running).status == 200

    asked(tmp_path, what, script, budgets=(DAY,))
    assert spent(tmp_path, DAY) == (COST, 0)


def test_workers_that_find_the_damage_together_put_it_aside_once_and_follow(tmp_path: Path) -> None:
    async def what(gateway: Inside) -> None:
        first = gateway.gateway._shared
        other = services_of(gateway.gateway._services.settings, {}, None).shared
        other.open(time.time_ns() // 1000)
        other._reserved["f" * 32] = [Claim(DAY, 5)]
        what_says_how_endpoints_fared(tmp_path / "state.db")
        await asyncio.gather(first._save(), other._save())
        await asyncio.gather(first._save(), other._save())
        assert spent(tmp_path, DAY) == (0, 5)
        assert first._identity == other._identity == State(tmp_path / "state.db").identity()
        other.close()

    asked(tmp_path, what, b"", budgets=(DAY,))
    assert len(set_aside(tmp_path)) == 1
