"""A gateway process without ingest, and what is in its ledger once its journal is drained."""

import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from collector.core.prices import PriceBook
from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.questions.books import Account, account
from collector.settings import Limits
from tests.processes import Running, running, until
from tests.stored import BOOK, NOW_US

CALLS = """
SELECT v."user", v.outcome, v.http_status, v.images_in, json_extract(c.sparse, '$.tool_calls'), v.input_tokens,
    v.output_tokens, v.finish_reason, v.streamed, v.model, v.provider
FROM v_calls v JOIN calls c ON lower(hex(c.id)) = v.id
"""


class Kept(msgspec.Struct, frozen=True):
    """A call as the ledger tells of it."""

    outcome: str
    http_status: int | None
    images_in: int | None
    tool_calls: int | None
    input: int | None
    output: int | None
    finish_reason: str | None
    streamed: int
    model: str
    provider: str


@contextmanager
def gateway(folder: Path, upstream: str) -> Iterator[tuple[Running, str]]:
    """The process and its address; calls to /v1 go to `upstream`, such as http://127.0.0.1:9/v1."""
    arguments = ("--data-dir", str(folder / "data"), "gateway", "--port", "0", "--no-ingest")
    with running(folder, *arguments, environ={"CALLMETER_OPENAI_URL": upstream}) as process:

        def address() -> str | None:
            assert process.process.poll() is None, process.err.read_text()
            lines = process.err.read_text().splitlines()
            return next((line.removeprefix("gateway: ") for line in lines if line.startswith("gateway: http")), None)

        yield process, until(address, process.err.read_text)


def ledger(folder: Path) -> Engine:
    """The ledger of a gateway's folder, made when there is none."""
    (folder / "data").mkdir(exist_ok=True)
    return open_ledger(f"sqlite:///{folder / 'data' / 'callmeter.db'}", create=True)


def take_in(engine: Engine, folder: Path, book: PriceBook = BOOK) -> None:
    """Everything that the journal holds now goes into the ledger."""
    drain(engine, folder / "data" / "journal", book, Limits(), NOW_US)


def by_user(engine: Engine) -> dict[str, list[Kept]]:
    """The calls of each `user`, all of them."""
    found = defaultdict(list)
    with engine.connect() as connection:
        for user, *rest in connection.exec_driver_sql(CALLS):
            found[user].append(Kept(*rest))
    return dict(found)


def balanced(engine: Engine, folder: Path) -> Account:
    """The account of the gateway's calls, which adds up."""
    (books,) = account(engine, folder / "data" / "journal")
    assert books.accepted == books.told, books
    assert books.uncounted == 0
    return books


def environ_without(*prefixes: str) -> dict[str, str]:
    """The environment of a helper process, without what would change its behaviour."""
    return {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
