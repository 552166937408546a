"""The clock, read only where a command begins; everything below it is given `now`."""

import time


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000
