"""Uptime as a figure: a share of attempts with its sample size, or the words that stand for one."""

from enum import StrEnum

import msgspec

MIN_IN_BUCKET = 10  # fewer attempts are shown as "7 of 9"
MIN_IN_HEADLINE = 100


class Status(StrEnum):
    """How a provider is: by its uptime, where enough attempts say so."""

    NORMAL = "normal"
    DEGRADED = "degraded"
    DOWN = "down"
    FEW = "few"
    NO_DATA = "no data"


class Uptime(msgspec.Struct, frozen=True):
    """Attempts that count: those that worked, and those that did not through the provider's fault.

    For the router's uptime `fault` holds the rate-limited calls too: they failed.
    """

    ok: int
    fault: int

    @property
    def attempts(self) -> int:
        return self.ok + self.fault

    @property
    def share(self) -> float | None:
        """The share that worked, from 0 to 1; None without attempts."""
        return self.ok / self.attempts if self.attempts else None

    def text(self, at_least: int = MIN_IN_BUCKET) -> str:
        """`98.6%`, or `7 of 9` with fewer than `at_least` attempts, or `no data`. Never rounded up to 100%."""
        if not self.attempts:
            return "no data"
        if self.attempts < at_least:
            return f"{self.ok} of {self.attempts}"
        hundredths = self.ok * 10_000 // self.attempts
        return f"{hundredths // 100}.{hundredths % 100:02d}".rstrip("0").rstrip(".") + "%"

    def status(self, at_least: int = MIN_IN_BUCKET) -> Status:
        """Normal from 95%, degraded from 80%, else down."""
        if not self.attempts:
            return Status.NO_DATA
        if self.attempts < at_least:
            return Status.FEW
        if self.ok * 100 >= 95 * self.attempts:
            return Status.NORMAL
        return Status.DEGRADED if self.ok * 100 >= 80 * self.attempts else Status.DOWN
