"""Stopping on purpose: SIGTERM and SIGINT end a loop between two pieces of work, never in the middle of one."""

import os
import select
import signal
from types import FrameType


class Stop:
    """Called, it says whether a signal came; `wait` sleeps until one does. Made once, in the main thread."""

    def __init__(self) -> None:
        self._came = False
        self._read, self._write = os.pipe()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def __call__(self) -> bool:
        return self._came

    def wait(self, seconds: float) -> bool:
        """Sleeps at most `seconds`; True when a signal came."""
        if not self._came:
            select.select([self._read], [], [], max(0.0, seconds))
        return self._came

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        os.write(self._write, b"x")
