"""How an endpoint has fared of late, and what follows from it for the next call; pure.

Uptime is ok / (ok + faults). As OpenRouter steers (openrouter.ai/docs/guides/community/for-providers): at least 95% is
normal, 80% degraded, less is down; and what failed in the last 30 seconds comes last. Rate limits count as faults here:
whoever asks there fails.
"""

from collections.abc import Mapping

import msgspec

NORMAL, DEGRADED = 0.95, 0.80
LEAST_ATTEMPTS = 10  # fewer say nothing of an uptime
WINDOW_S = 300
RECENT_S = 30

NOTHING_KNOWN: Mapping[str, float] = {}


class Health(msgspec.Struct, frozen=True):
    """`state` is a word of STATES, "" for normal or unknown. `wait_until_us`: it asked not to be asked before.

    `latency_s` (first token) and `throughput` (tokens a second) are percentiles by name, empty where nothing is known.
    """

    state: str = ""
    wait_until_us: int = 0
    latency_s: Mapping[str, float] = NOTHING_KNOWN
    throughput: Mapping[str, float] = NOTHING_KNOWN


STATES = ("", "degraded", "failing", "down")  # best first
UNKNOWN = Health()


def state_of(ok: int, faults: int, recent_ok: int, recent_faults: int) -> str:
    """The state that counts of attempts say: of the last WINDOW_S, and of the last RECENT_S among them."""
    uptime = ok / (ok + faults) if ok + faults >= LEAST_ATTEMPTS else 1.0
    if uptime < DEGRADED:
        return "down"
    if recent_faults and recent_ok < NORMAL * (recent_ok + recent_faults):
        return "failing"
    return "degraded" if uptime < NORMAL else ""
