"""5,000 calls through a provider that fails 30% of attempts: fallback saves them, and the books say how many."""

import asyncio
import json
import socket
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random

from collector.core.outcomes import Outcome
from collector.core.periods import Period
from collector.core.selection import Selection
from collector.intake.gateway.errors import OPENROUTER_TYPES
from collector.ledger.ingest import drain
from collector.ledger.questions.ask import rows, total
from collector.ledger.questions.uptime import provider_uptime, router_uptime
from collector.settings import Endpoint, Limits, Provider, Settings
from tests.gateway.inside import ANSWER, STREAM_HEAD, USAGE_PART, chunk, plain, said, stream
from tests.gateway.live import Live, reply_of, request_of, serving
from tests.stored import BOOK, store

CALLS, AT_ONCE = 5_000, 25
FIRST_BYTE_S = 2.0
ERROR = {"error": {"message": "no", "code": "no", "type": "no"}}
# How an attempt fails before its first event; "refused" is a provider where nothing listens.
FAILS: dict[str, bytes | None] = {
    "429": plain(ERROR, 429),
    "500": plain(ERROR, 500),
    "503": plain(ERROR, 503),
    "529": plain(ERROR, 529),
    "timeout": None,
    "refused": b"",
    "garbage": b"\x00\xff no http at all\r\n\r\n",
    "error inside": plain(ERROR),
}
_WEIGHTS = [1 if kind == "timeout" else 6 for kind in FAILS]  # a timeout takes FIRST_BYTE_S
GOOD = {False: plain(ANSWER), True: stream(said(), said(None, "stop"), USAGE_PART)}
BEGUN = STREAM_HEAD + stream(said(), end=False, cut=True)[len(STREAM_HEAD) :]
PATHS = ("/v1/chat/completions", "/api/v1/chat/completions")
# How a stream fails after its first event.
BREAKS: dict[str, bytes] = {
    "error event": chunk(b"data: " + json.dumps(ERROR).encode() + b"\n\n") + b"0\r\n\r\n",
    "disconnect": b"",
    "truncated": b"0\r\n\r\n",
    "no JSON": chunk(b"data: {]\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
    "no HTTP": b"zz\r\n",
}


class Flaky:
    """A provider that does what the `user` of a call says; `failed` counts how, `began`: its first event arrived."""

    def __init__(self) -> None:
        self.failed: Counter[str] = Counter()
        self.began: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                if not await self._answer(body, writer):
                    break
                await writer.drain()
            if body["user"] == "timeout":
                await reader.read()
        writer.close()

    async def _answer(self, body: dict[str, object], writer: asyncio.StreamWriter) -> bool:
        """Whether the connection stays."""
        kind = str(body["user"])
        if (breaks := BREAKS.get(kind.partition("#")[0])) is not None:
            writer.write(BEGUN)
            await self.began[kind].wait()
            writer.write(breaks)
            return False
        if kind not in FAILS:
            writer.write(GOOD[bool(body.get("stream"))])
            return True
        self.failed[kind] += 1
        if answer := FAILS[kind]:
            writer.write(answer)
        return answer is not None and answer.startswith(b"HTTP")


class Steady(Flaky):
    """A provider that always answers."""

    async def _answer(self, body: dict[str, object], writer: asyncio.StreamWriter) -> bool:
        writer.write(GOOD[bool(body.get("stream"))])
        return True


@asynccontextmanager
async def gateway(folder: Path, first_byte_s: float) -> AsyncIterator[tuple[Live, Flaky]]:
    """The model m at a flaky provider, a steady one, and one where nothing listens."""
    flaky, steady = Flaky(), Steady()
    servers = [await asyncio.start_server(each.serve, "127.0.0.1", 0) for each in (flaky, steady)]
    with socket.socket() as closed:  # bound and not listening: connections are refused
        closed.bind(("127.0.0.1", 0))
        ports = [*(server.sockets[0].getsockname()[1] for server in servers), closed.getsockname()[1]]
        names = ("flaky", "steady", "gone")
        settings = Settings(
            data_dir=folder,
            ledger_url="sqlite://",
            config_path=folder / "callmeter.toml",
            fsync="interval",
            first_byte_timeout_s=first_byte_s,
            providers={n: Provider(f"http://127.0.0.1:{port}/v1") for n, port in zip(names, ports, strict=True)},
            endpoints=tuple(Endpoint("m", name) for name in names),
        )
        async with serving(settings) as live:
            yield live, flaky
    for server in servers:
        server.close()


def asked(n: int, random: Random) -> dict[str, object]:
    """The n-th call: 30% meet a failure first. Most ask for the flaky provider first, so that its health is no help."""
    kind = random.choices(list(FAILS), _WEIGHTS)[0] if random.random() < 0.3 else "ok"
    first = "gone" if kind == "refused" else "flaky"
    order = {"provider": {"order": [first, "steady"], "allow_fallbacks": False}}
    return {"model": "m", "messages": [], "user": kind, "stream": n % 2 == 1, **(order if n % 10 else {})}


async def call_all(live: Live) -> Counter[int]:
    """The statuses that the clients saw; a stream without its end counts as 0."""
    random, seen = Random(1), Counter[int]()
    bodies = [asked(n, random) for n in range(CALLS)]

    async def client(mine: list[dict[str, object]]) -> None:
        for body in mine:
            reply = await live.ask(body)
            is_whole = not body["stream"] or reply.body.endswith(b"data: [DONE]\n\n")
            seen[reply.status if is_whole or reply.status != 200 else 0] += 1

    await asyncio.gather(*(client(bodies[n::AT_ONCE]) for n in range(AT_ONCE)))
    return seen


def test_what_fallback_rescues_is_what_routing_adds_to_the_uptime(tmp_path: Path) -> None:
    seen: list[Counter[int]] = []
    failed: list[int] = []
    began = time.time_ns() // 1000

    async def main() -> None:
        async with gateway(tmp_path, FIRST_BYTE_S) as (live, flaky):
            seen.append(await call_all(live))
            assert sum(flaky.failed.values()) > CALLS * 0.2
            assert flaky.failed.keys() == FAILS.keys() - {"refused"}
            failed.append(sum(flaky.failed.values()))

    asyncio.run(main())
    engine = store(tmp_path, [])
    now_us = time.time_ns() // 1000
    drain(engine, tmp_path / "journal", BOOK, Limits(), now_us)
    period = Period(began // 10**9 * 10**9 - 3_600_000_000, now_us + 3_600_000_000)
    with engine.connect() as connection:
        firsts = dict(
            connection.exec_driver_sql(
                "SELECT outcome, count(*) FROM v_attempts WHERE n = 1 AND probe = 0 GROUP BY outcome"
            ).all()
        )
        lone = connection.exec_driver_sql(
            "SELECT outcome, count(*) FROM v_calls WHERE id NOT IN (SELECT call_id FROM v_attempts) GROUP BY outcome"
        ).all()
        rescued = connection.exec_driver_sql(
            "SELECT count(*) FROM v_calls AS c JOIN v_attempts AS a ON a.call_id = c.id AND a.n = 1"
            " WHERE c.outcome = 'ok' AND a.outcome <> 'ok'"
        ).scalar_one()
    with engine.connect() as connection:
        attempts = "SELECT count(*) FROM v_attempts WHERE outcome <> 'ok' AND probe = 0"
        refused = connection.exec_driver_sql(f"{attempts} AND error_type = 'connect_failed'").scalar_one()
        assert connection.exec_driver_sql(attempts).scalar_one() == failed[0] + refused
        assert refused > 0
    router = rows(engine, router_uptime(Selection(), period, ("UTC",), "1h"))
    providers = rows(engine, provider_uptime(Selection(), period, ("UTC",), "1h"))
    engine.dispose()
    with_routing, without = total(router, "last_ok"), total(router, "first_ok")
    assert seen[0][200] >= 0.999 * CALLS
    assert with_routing == seen[0][200]
    assert without == firsts.get("ok", 0) + dict(lone).get("ok", 0)
    assert with_routing - without == rescued > 0.2 * CALLS
    assert sum(row.ok for row in providers) == with_routing


def test_a_fault_after_the_first_event_is_one_error_event_and_one_provider_fault(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path, 30.0) as (live, flaky):
            users = [f"{kind}#{n}" for kind in BREAKS for n in range(20)]

            async def client(user: str) -> None:
                order = {"order": ["flaky", "steady"]}
                body = {"model": "m", "messages": [], "user": user, "stream": True, "provider": order}
                path = PATHS[users.index(user) % 2]
                reader, writer = await live.connect(request_of(body, path))
                begun = await reader.readuntil(b"data: ") + await reader.readuntil(b"\n\n")
                flaky.began[user].set()
                reply = reply_of(begun + await reader.read(-1))
                writer.close()
                events = reply.body.decode().removesuffix("\n\n").split("\n\n")
                assert reply.status == 200
                assert json.loads(events[0][6:]).items() >= said().items()
                assert [n for n, event in enumerate(events) if '"error":{' in event] == [len(events) - 1], user
                told = json.loads(events[-1][6:])
                assert told["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
                assert (told["id"], told["model"], told["provider"]) == ("gen-1", "m-served", "flaky")
                if path.startswith("/api"):
                    assert isinstance(told["error"]["code"], int)
                    assert told["error"]["metadata"]["error_type"] in OPENROUTER_TYPES

            await asyncio.gather(*map(client, users))
            calls = await live.closed(len(users))
            assert {call.outcome for call in calls} == {Outcome.PROVIDER_FAULT}
            assert {(len(call.attempts), call.attempts[0].provider) for call in calls} == {(1, "flaky")}

    asyncio.run(main())
