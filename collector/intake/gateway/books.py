"""The gateway's hold on the journal: what happens to a call when the journal's disk is full or fails."""

import logging
import time

from collector.core.calls import Call
from collector.core.errors import JournalFailed, JournalFull
from collector.intake.gateway.errors import Refusal
from collector.ledger.journal import Ticket, Writer

log = logging.getLogger("callmeter.gateway")
RETRY_AFTER_S = "5"
_LOG_EVERY_S = 10.0


class Books:
    """Opens and closes calls. Under "serve" a call that cannot be opened passes without a ticket, and is counted."""

    def __init__(self, writer: Writer, on_journal_failure: str) -> None:
        self._writer = writer
        self._serves = on_journal_failure == "serve"
        self._uncounted = 0
        self._uncounted_since = 0
        self._told_at = 0.0
        self.failures = 0  # records that the disk did not take

    @property
    def uncounted(self) -> int:
        """Calls let pass without a record that the journal has not been told of yet."""
        return self._uncounted

    def open(self, call: Call) -> Ticket | None:
        """The ticket of a new call, None where it passes uncounted. Raises Refusal (503) under "refuse"."""
        try:
            if self._uncounted:
                self._confess(call.started_at)
            return self._writer.open(call)
        except JournalFull as full:
            self._tell(full)
            if not self._serves:
                message = "this call cannot be recorded, so it was not sent on: the journal has no room; free its disk"
                raise Refusal(503, "journal_full", message, retry_after=RETRY_AFTER_S) from None
            self._uncounted_since = self._uncounted_since or call.started_at
            self._uncounted += 1
            return None

    def close(self, ticket: Ticket | None, call: Call) -> None:
        """Record how a call ended. An answer already paid for is delivered whatever the disk does."""
        if ticket is None:
            return
        try:
            self._writer.close(ticket, call)
        except JournalFailed as failure:
            self._count(failure)

    def refused(self, call: Call) -> None:
        """Record a call that the gateway turned away."""
        try:
            self._writer.whole(call)
        except JournalFailed as failure:
            self._count(failure)

    async def settled(self) -> None:
        """Wait, under fsync = "always", until all that was recorded before is on the disk."""
        try:
            await self._writer.settled()
        except JournalFailed as failure:
            self._count(failure)

    def stop(self) -> None:
        """Let go of the journal; calls that are still open become interrupted."""
        self._writer.stop()

    def _confess(self, now_us: int) -> None:
        self._writer.uncounted(self._uncounted, self._uncounted_since, now_us)
        self._uncounted = self._uncounted_since = 0

    def _count(self, failure: JournalFailed) -> None:
        self.failures += 1
        self._tell(failure)

    def _tell(self, failure: JournalFailed) -> None:
        now = time.monotonic()
        if now - self._told_at > _LOG_EVERY_S:
            self._told_at = now
            log.error("%s", failure)
