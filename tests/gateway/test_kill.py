"""SIGKILL of the gateway under 200 concurrent calls, 20 times: what a client saw complete is in the ledger, once."""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import Engine

from collector.ledger.engines import open_ledger
from collector.ledger.ingest import drain
from collector.ledger.questions.books import account
from collector.settings import Limits
from tests.gateway.inside import ANSWER, USAGE_PART, plain, said, stream
from tests.gateway.outside import port_of, request, starting
from tests.processes import Running
from tests.stored import BOOK, NOW_US

KILLS = 20
CLIENTS = 200
ENDLESS = 20  # of them, whose streams begin and never end by themselves
COMPLETE_BEFORE_KILL = 60
_EVENT_END = b"\n\n\r\n"
STREAM_PIECES = [
    piece + _EVENT_END for piece in stream(said(), said(None, "stop"), USAGE_PART, cut=True).split(_EVENT_END)[:-1]
] + [b"0\r\n\r\n"]  # the first one with the head
PACE = itertools.cycle((0.0, 0.002, 0.015, 0.04, 0.001, 0.008))


class Provider:
    """Takes its time, differently for each piece; `heard` are the users of the calls that reached it."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                self.heard.add(body["user"])
                await asyncio.sleep(next(PACE))
                if not body.get("stream"):
                    writer.write(plain(ANSWER))
                    continue
                if body["user"].startswith("endless"):
                    writer.write(STREAM_PIECES[0])
                    await reader.read()
                    break
                for piece in STREAM_PIECES:
                    writer.write(piece)
                    await asyncio.sleep(next(PACE))
        writer.close()


class Clients:
    """Many that call again and again; `asked` and `complete` are the users of calls sent, and seen to their end.

    `endless` are the users of calls that were seen to begin and could only be cut.
    """

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.complete: set[str] = set()
        self.endless: set[str] = set()
        self.enough = asyncio.Event()
        self._before_kill: Counter[str] = Counter()

    async def call_until_cut(self, port: int, kill: int) -> None:
        self._before_kill = Counter(complete=COMPLETE_BEFORE_KILL, endless=ENDLESS)
        self.enough.clear()
        again = [self._one(port, f"{kill}-{n}", streams=n % 2 == 0) for n in range(CLIENTS - ENDLESS)]
        await asyncio.gather(*again, *(self._endless(port, f"endless-{kill}-{n}") for n in range(ENDLESS)))

    async def _endless(self, port: int, user: str) -> None:
        with suppress(ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                self.asked.add(user)
                writer.write(request({"model": "m", "messages": [], "user": user, "stream": True}))
                await reader.readuntil(b"data: {")
                self.endless.add(user)
                self._saw("endless")
                await reader.read()
            finally:
                writer.close()

    async def _one(self, port: int, name: str, streams: bool) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for n in itertools.count():
                    await self._call(reader, writer, f"{name}-{n}", streams)
            finally:
                writer.close()

    async def _call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: str, streams: bool) -> None:
        self.asked.add(user)
        writer.write(request({"model": "m", "messages": [], "user": user, "stream": streams}))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        if streams:
            await reader.readuntil(b"data: [DONE]\n\n")
        else:
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
        self.complete.add(user)
        self._saw("complete")
        if streams:
            await reader.readuntil(b"0\r\n\r\n")

    def _saw(self, what: str) -> None:
        self._before_kill[what] -= 1
        if not +self._before_kill:
            self.enough.set()


@contextmanager
def ledger(folder: Path) -> Iterator[Engine]:
    (folder / "data").mkdir()
    engine = open_ledger(f"sqlite:///{folder / 'data' / 'callmeter.db'}", create=True)
    yield engine
    engine.dispose()


def test_no_call_that_a_client_saw_complete_is_missing_or_there_twice(tmp_path: Path) -> None:
    provider, clients = Provider(), Clients()
    with ledger(tmp_path) as engine:
        asyncio.run(kill_again_and_again(tmp_path, provider, clients, engine))
        take_in(engine, tmp_path)
        (books,) = account(engine, tmp_path / "data" / "journal")
        with engine.connect() as connection:
            rows = connection.exec_driver_sql('SELECT "user", outcome, input_tokens, output_tokens FROM v_calls').all()
    assert max(Counter(user for user, *_ in rows).values()) == 1
    found = {user: tuple(rest) for user, *rest in rows}
    assert len(clients.complete) >= KILLS * COMPLETE_BEFORE_KILL
    assert {user: found.get(user) for user in clients.complete} == dict.fromkeys(clients.complete, ("ok", 12, 5))
    assert provider.heard <= found.keys() <= clients.asked  # a call is in the journal before its provider hears of it
    assert len(clients.endless) == KILLS * ENDLESS
    assert {found.get(user) for user in clients.endless} == {("interrupted", None, None)}
    cut = {found[user][0] for user in found.keys() - clients.complete}
    assert cut <= {"interrupted", "ok"}  # ok: recorded, and killed before the last bytes went out
    assert (books.accepted, books.open, books.waiting) == (books.stored, 0, 0) == (len(rows), 0, 0)


async def kill_again_and_again(folder: Path, provider: Provider, clients: Clients, engine: Engine) -> None:
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, backlog=2 * CLIENTS)
    provider_port = server.sockets[0].getsockname()[1]
    with one_after_another(folder, provider_port) as start:
        process = start()
        for kill in range(KILLS):
            port = await asyncio.to_thread(port_of, process)
            victim, process = process, start()  # the next one starts meanwhile, beside the same journal
            calling = asyncio.create_task(clients.call_until_cut(port, kill))
            await asyncio.wait_for(clients.enough.wait(), 60)
            victim.process.kill()
            await asyncio.wait_for(calling, 60)
            await asyncio.to_thread(victim.process.wait, 60)
            if kill % 5 == 0:
                await asyncio.to_thread(take_in, engine, folder)
    server.close()


@contextmanager
def one_after_another(folder: Path, provider_port: int) -> Iterator[Callable[[], Running]]:
    with ExitStack() as stack:

        def start() -> Running:
            return stack.enter_context(starting(Path(mkdtemp(dir=folder)), provider_port, folder / "data"))

        yield start


def take_in(engine: Engine, folder: Path) -> None:
    drain(engine, folder / "data" / "journal", BOOK, Limits(), NOW_US)
