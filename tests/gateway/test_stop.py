"""A gateway process that is told to stop: running calls get their time, the rest are told, and all are recorded."""

import asyncio
import json
import signal
import socket
from pathlib import Path

from collector.core.outcomes import Outcome
from tests.gateway.inside import QUESTION, STREAM_HEAD, STREAMED, Scripted, calls, chunk, said, stream
from tests.gateway.outside import gateway, request
from tests.processes import until

BEGINNING = chunk(b"data: " + json.dumps(said("begun")).encode() + b"\n\n")
REST = stream(said(None, "stop"))[len(STREAM_HEAD) :]


async def asked(port: int, body: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(body))
    return reader, writer


def test_calls_that_run_are_waited_for_and_the_rest_are_told(tmp_path: Path) -> None:
    async def run() -> None:
        goes_on = asyncio.Event()

        async def finishes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + BEGINNING)
            await goes_on.wait()
            writer.write(REST)

        async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(STREAM_HEAD + BEGINNING)

        async def is_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            pass

        provider = Scripted(finishes, stalls, is_silent)
        server = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
        with gateway(tmp_path, server.sockets[0].getsockname()[1]) as (process, port):
            good, good_writer = await asked(port, STREAMED)
            await good.readuntil(b"begun")
            stalled, stalled_writer = await asked(port, STREAMED)
            await stalled.readuntil(b"begun")
            silent, silent_writer = await asked(port, QUESTION)
            while len(provider.requests) < 3:
                await asyncio.sleep(0.01)
            process.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: not takes_connections(port))
            goes_on.set()
            assert (await good.read()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            assert b"gateway_stopping" in await stalled.read()
            assert (await silent.read()).startswith(b"HTTP/1.1 503 ")
            assert await asyncio.to_thread(process.process.wait, 30) == 0
            for writer in (good_writer, stalled_writer, silent_writer):
                writer.close()
        server.close()

    asyncio.run(run())
    found = [(call.outcome, call.error_type) for call in calls(tmp_path / "data")]
    stopped = (Outcome.INTERRUPTED, "gateway_stopped")
    assert found == [(Outcome.OK, None), stopped, stopped]


def takes_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_an_idle_gateway_stops_at_once_and_leaves_its_secret_and_no_call(tmp_path: Path) -> None:
    with gateway(tmp_path, 9) as (process, _):
        assert process.end(signal.SIGTERM) == 0
    assert calls(tmp_path / "data") == []
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
