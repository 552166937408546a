"""The same for many at once, in threads: for what waits for others. They end with the process, finished or not."""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(some: Sequence[T], do: Callable[[T], R], at_once: int) -> list[R]:
    """What `do` returns for each, in their order. Once all have ended, raises what one of them raised.

    A single one is done in the thread of the caller, where a signal can end it.
    """
    if len(some) < 2:
        return [do(each) for each in some]
    results: dict[int, R] = {}
    problems: list[Exception] = []
    waiting: SimpleQueue[int] = SimpleQueue()
    for place in range(len(some)):
        waiting.put(place)

    def work() -> None:
        while (place := _next(waiting)) is not None:
            try:
                results[place] = do(some[place])
            except Exception as problem:
                problems.append(problem)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(at_once, len(some)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    finally:
        while _next(waiting) is not None:
            pass
    if problems:
        raise problems[0]
    return [results[place] for place in range(len(some))]


def _next(waiting: "SimpleQueue[int]") -> int | None:
    try:
        return waiting.get_nowait()
    except Empty:
        return None
