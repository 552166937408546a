"""The account of a segment: what its writer accepted, and what became of it."""

import msgspec


class Account(msgspec.Struct):
    """The counts of a segment, as its row in `segments` keeps them."""

    id: int
    position: int = 0
    accepted: int = 0
    stored: int = 0
    merged: int = 0
    rejected: int = 0
    missing: int = 0

    def accept(self, n: int) -> None:
        """The writer's own count says what it accepted; what no line tells of is missing."""
        expected = self.accepted + 1
        if n > expected:
            self.missing += n - expected
        if n >= expected:
            self.accepted = n

    def find(self) -> None:
        """A call has ended whose opening could not be read: it was counted as missing, or not counted yet."""
        if self.missing:
            self.missing -= 1
        else:
            self.accepted += 1
