"""A part of a running callmeter watches a pipe that its supervisor holds, and ends when the supervisor has ended."""

import contextlib
import os
import signal
import threading
import time

PARENT_FD = "CALLMETER_PARENT_FD"
KILL_AFTER_S = 25.0  # a stopping gateway finishes running calls first


def watch_parent() -> bool:
    """In a part, True: this process, and its group if need be, ends once the supervisor is gone. Elsewhere: False."""
    text = os.environ.pop(PARENT_FD, None)
    if text is None:
        return False
    threading.Thread(target=_wait_for_end, args=(int(text),), daemon=True, name="parent").start()
    return True


def _wait_for_end(fd: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(fd, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(KILL_AFTER_S)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
