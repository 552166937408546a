"""Parts of callmeter as processes under one supervisor: what dies is started again, and all end together.

Every part leads its own process group and reads one end of a pipe whose other end only the supervisor holds:
when the supervisor is gone, even by SIGKILL, the pipe ends and the part ends itself.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Sequence

import msgspec

from collector.core.errors import CallmeterError
from collector.parent import PARENT_FD
from collector.settings import Settings

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
STEADY_S = 60.0  # a part that ran so long is started again without a longer pause
WRONG_USE = 2
NOT_STARTED = 127  # what a shell says of a command that it cannot start


class Part(msgspec.Struct, frozen=True):
    """One process: a name for messages, its command line, more environment."""

    name: str
    command: tuple[str, ...]
    environ: dict[str, str] = {}


def callmeter(settings: Settings, *arguments: str) -> tuple[str, ...]:
    """The command line of a callmeter command with these settings and absolute paths, in this Python.

    `-P` keeps a folder named `collector` in the working directory from being taken for ours.
    """
    config = ("--config", str(settings.config_path)) if settings.config_path else ()
    places = ("--data-dir", str(settings.data_dir), "--ledger", settings.ledger_url)
    return (sys.executable, "-P", "-m", "collector.cli", *places, *config, *arguments)


def supervise(
    parts: Sequence[Part], grace_s: float, ready: Callable[[], Coroutine[None, None, None]] | None = None
) -> int:
    """Runs the parts until SIGINT, SIGTERM or SIGHUP and ends them all; `ready` runs beside them.

    Returns 0, or 2 when a part says that it was used wrongly, which no new start heals.
    """
    return asyncio.run(_Supervisor(parts, grace_s).run(ready))


class _Supervisor:
    def __init__(self, parts: Sequence[Part], grace_s: float) -> None:
        self.parts, self.grace_s = parts, grace_s
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.exit_code = 0
        self.signals = 0
        self.read_fd, self.write_fd = os.pipe()

    async def run(self, ready: Callable[[], Coroutine[None, None, None]] | None) -> int:
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays nohup
                loop.add_signal_handler(number, self._on_signal)
        tasks = [asyncio.create_task(self._keep(part)) for part in self.parts]
        if ready:
            tasks.append(asyncio.create_task(ready()))
        await self.stop.wait()
        say("ending; a second Ctrl-C ends at once")
        await self._end_all()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        os.close(self.write_fd)
        return self.exit_code

    def _on_signal(self) -> None:
        self.signals += 1
        (self.stop if self.signals == 1 else self.hurry).set()

    async def _keep(self, part: Part) -> None:
        pause_s, is_first = FIRST_PAUSE_S, True
        while not self.stop.is_set():
            started = time.monotonic()
            code = await self._run_once(part)
            if self.stop.is_set():
                return
            if code == WRONG_USE and is_first:
                self.exit_code = WRONG_USE
                self.stop.set()
                return
            if time.monotonic() - started >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            say(f"{part.name} ended ({_ending(code)}); it is started again in {pause_s:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), pause_s)
            is_first = False
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _run_once(self, part: Part) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *part.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env={**os.environ, **part.environ, PARENT_FD: str(self.read_fd)},
                pass_fds=(self.read_fd,),
                start_new_session=True,
            )
        except OSError as error:  # no memory, or a Python that is being replaced
            say(f"{part.name} cannot be started: {error.strerror}")
            return NOT_STARTED
        self.running[part.name] = process
        if self.stop.is_set():
            process.terminate()
        code = await process.wait()
        _signal_group(process.pid, signal.SIGKILL)  # what it may have left behind, a worker on its port
        del self.running[part.name]
        return code

    async def _end_all(self) -> None:
        for process in self.running.values():
            process.terminate()
        deadline = time.monotonic() + self.grace_s
        while self.running and time.monotonic() < deadline and not self.hurry.is_set():
            await asyncio.sleep(0.02)
        for name, process in self.running.items():
            say(f"{name} did not end in time and is killed")
            _signal_group(process.pid, signal.SIGKILL)
        while self.running:
            await asyncio.sleep(0.02)


def take_port(host: str, port: int) -> int:
    """`port` when it is free on `host`, a free one for 0. Raises CallmeterError when it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CallmeterError(f"port {port} on {host}: {reason}: stop what uses it or name another port") from error
        return int(probe.getsockname()[1])


async def answers(host: str, port: int, within_s: float) -> bool:
    """True as soon as something accepts connections there; False when nothing did in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return True
    return False


def say(message: str) -> None:
    """One line on stderr."""
    print(f"callmeter: {message}", file=sys.stderr, flush=True)


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
