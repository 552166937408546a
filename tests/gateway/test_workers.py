"""Several workers on one port: real processes; one is killed, and nothing of its calls or reservations is lost."""

import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from collector.intake.gateway.shared.keys import create
from collector.intake.gateway.shared.state import State
from collector.ledger.engines import open_ledger
from tests.gateway.inside import ANSWER
from tests.gateway.serving import Answering, serving
from tests.processes import Running, running, until

SETTINGS = """
[providers.one]
base_url = "http://127.0.0.1:{port}/v1"
[[endpoints]]
model = "m"
provider = "one"
input_usd_per_m = 1
output_usd_per_m = 2
max_output_tokens = 1000
[[budgets]]
scope = "all"
period = "month"
limit_usd = 1
"""
COST = 12 * 10**6 + 5 * 2 * 10**6  # of ANSWER
CALLS, HANGING = 40, 12


class Provider(Answering):
    """Answers at once, but to the user `hang` when it is told to go on."""

    go_on: threading.Event
    hanging: list[str]

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if asked["user"] == "hang":
            self.hanging.append("one more")
            self.go_on.wait(60)
        self.answer(200, json.dumps(ANSWER).encode())


@pytest.fixture
def provider() -> Iterator[type[Provider]]:
    with serving(Provider, go_on=threading.Event(), hanging=[]) as handler:
        yield handler
        handler.go_on.set()


def call(gateway: str, user: str, key: str = "") -> int:
    """The status of one call on a connection of its own; 0 where it broke off."""
    body = json.dumps({"model": "m", "messages": [], "user": user}).encode()
    headers = {"content-type": "application/json", "connection": "close"}
    headers |= {"authorization": f"Bearer {key}"} if key else {}
    try:
        with urlopen(Request(f"{gateway}/chat/completions", body, headers), timeout=60) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except (URLError, ConnectionError, OSError):
        return 0


def workers(started: Running) -> set[int]:
    return {pid for pid, line in started.children().items() if " gateway " in line}


def outcomes(folder: Path) -> Counter[str]:
    engine = open_ledger(f"sqlite:///{folder / 'data' / 'callmeter.db'}", read_only=True)
    with engine.connect() as connection:
        found = Counter(row[0] for row in connection.exec_driver_sql("SELECT outcome FROM v_calls"))
    engine.dispose()
    return found


def state(folder: Path, query: str) -> list[tuple[int, ...]]:
    with closing(sqlite3.connect(folder / "data" / "state.db")) as connection:
        return connection.execute(query).fetchall()


def test_workers_share_port_budget_and_keys_and_one_may_die(tmp_path: Path, provider: type[Provider]) -> None:
    (tmp_path / "callmeter.toml").write_text(SETTINGS.format(port=provider.port))  # type: ignore[attr-defined]
    with running(tmp_path, "gateway", "--port", "0", "--workers", "2") as started:
        gateway = started.addresses("gateway")["gateway"]
        until(lambda: len(workers(started)) == 2)
        until(lambda: len(list((tmp_path / "data" / "workers").glob("*.alive"))) == 2)
        assert [call(gateway, "u") for _ in range(CALLS)] == [200] * CALLS
        assert len(list((tmp_path / "data" / "journal").glob("*.jnl"))) == 2  # each its own
        assert state(tmp_path, "SELECT picousd FROM spent") == [(CALLS * COST,)]

        statuses: list[int] = []
        hung = [threading.Thread(target=lambda: statuses.append(call(gateway, "hang"))) for _ in range(HANGING)]
        for thread in hung:
            thread.start()
        until(lambda: len(provider.hanging) == HANGING)
        assert len(state(tmp_path, "SELECT * FROM leases")) == HANGING
        victim = min(workers(started))
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(workers(started) - {victim}) == 2)  # started again
        until(lambda: len(list((tmp_path / "data" / "workers").glob("*.alive"))) == 2)
        provider.go_on.set()
        for thread in hung:
            thread.join(60)
        cut = statuses.count(0)
        assert Counter(statuses) == Counter({200: HANGING - cut, 0: cut})
        ended = Counter(ok=CALLS + HANGING - cut, interrupted=cut)
        until(lambda: outcomes(tmp_path) == +ended, lambda: str((outcomes(tmp_path), ended)))
        until(lambda: not state(tmp_path, "SELECT * FROM leases"))
        assert state(tmp_path, "SELECT picousd FROM spent") == [(ended["ok"] * COST,)]

        _, key = create(State(tmp_path / "data" / "state.db"), "web", time.time_ns() // 1000)
        until(lambda: [call(gateway, "u") for _ in range(10)] == [401] * 10)  # both know of it
        assert [call(gateway, "u", key) for _ in range(10)] == [200] * 10
        assert started.end(signal.SIGINT) == 0
    assert not list((tmp_path / "data" / "workers").glob("*.alive"))
