"""Who is signed in, and how often somebody may try: kept in memory, so that a restart signs everybody out."""

import secrets
from collections import OrderedDict, deque
from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

import msgspec

Role = Literal["viewer", "admin"]
MOST_SESSIONS = 1_000
MOST_ADDRESSES = 10_000
WINDOW_S = 60.0


class Who(msgspec.Struct, frozen=True):
    """A person that was let in. Without a name: this machine, which needs none."""

    name: str = ""
    role: Role = "admin"


class Sessions:
    """Signed-in people by a random token, of which only the digest is kept. `now_s` never goes back."""

    def __init__(self, lasts_s: float) -> None:
        self._lasts_s = lasts_s
        self._known: OrderedDict[bytes, tuple[Who, float]] = OrderedDict()

    def begin(self, who: Who, now_s: float) -> str:
        """A new token for somebody; the oldest session ends where there are too many."""
        token = secrets.token_urlsafe(32)
        self._known[_digest(token)] = (who, now_s + self._lasts_s)
        while len(self._known) > MOST_SESSIONS:
            self._known.popitem(last=False)
        return token

    def who(self, token: str, now_s: float) -> Who | None:
        """Whose token it is, while it holds."""
        who, until = self._known.get(_digest(token), (None, 0.0))
        return who if now_s < until else None

    def end(self, token: str) -> None:
        """Signs out."""
        self._known.pop(_digest(token), None)


class Attempts:
    """Failed attempts of the last WINDOW_S seconds, by address and in all."""

    def __init__(self, per_address: int, in_all: int) -> None:
        self._per_address, self._in_all = per_address, in_all
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()
        self._every: deque[float] = deque(maxlen=in_all)

    def wait_s(self, address: str, now_s: float) -> float:
        """How long an address has to wait before it may try again; 0: it may now."""
        own = self._by_address.get(address, ())
        return max(_wait(own, self._per_address, now_s), _wait(self._every, self._in_all, now_s))

    def failed(self, address: str, now_s: float) -> None:
        """Notes a failed attempt."""
        own = self._by_address.setdefault(address, deque(maxlen=self._per_address))
        self._by_address.move_to_end(address)
        own.append(now_s)
        self._every.append(now_s)
        while len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)


def _wait(times: Sequence[float] | deque[float], most: int, now_s: float) -> float:
    return max(0.0, times[0] + WINDOW_S - now_s) if len(times) >= most else 0.0


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
