"""When a provider was out: runs of buckets in which too little worked."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from collector.core.uptime import MIN_IN_BUCKET, Uptime

LONGEST_GAP = 6  # buckets without attempts that a run may hold


class Outage(msgspec.Struct, frozen=True):
    """From the first second of its first bad bucket up to the end of its last, both since 1970."""

    start_s: int
    end_s: int
    ok: int
    fault: int

    @property
    def seconds(self) -> int:
        return self.end_s - self.start_s


def outages(buckets: Iterable[tuple[int, Uptime]], step_s: int) -> list[Outage]:
    """The outages among buckets of `step_s` seconds (first second, attempts), in any order; the oldest first.

    A bucket is bad when less than 80% of its attempts worked, however few they were. A run of bad buckets, with no
    better one and at most LONGEST_GAP empty ones in a row between them, is an outage from MIN_IN_BUCKET attempts on.
    """
    tried = sorted((at, uptime) for at, uptime in buckets if uptime.attempts)
    return [run for run in _runs(tried, step_s) if run.ok + run.fault >= MIN_IN_BUCKET]


def is_bad(ok: Any, fault: Any) -> Any:
    """Whether too few attempts of a bucket worked, however few they were: of two numbers, or of two columns."""
    return ok * 100 < 80 * (ok + fault)


def _runs(tried: list[tuple[int, Uptime]], step_s: int) -> Iterator[Outage]:
    run: Outage | None = None
    for at, uptime in tried:
        bad = is_bad(uptime.ok, uptime.fault)
        if run and (not bad or at - run.end_s > LONGEST_GAP * step_s):
            yield run
            run = None
        if bad:
            before = run or Outage(at, at, 0, 0)
            run = Outage(before.start_s, at + step_s, before.ok + uptime.ok, before.fault + uptime.fault)
    if run:
        yield run
