"""Reading a stream whose events name their type, one by one, as it passes."""

from abc import ABC, abstractmethod

from collector.intake.gateway.answer import Seen
from collector.intake.gateway.sse import DONE


class EventFollower(ABC):
    """A `dialects.Follower`; `seen` is what the stream has said up to now, its usage in `_shape`."""

    __slots__ = ("_shape", "seen")

    def __init__(self, shape: str) -> None:
        self.seen = Seen()
        self._shape = shape

    def follow(self, data: list[bytes]) -> list[int]:
        """Read the data of the next events. Gives the places of those that are, or may be, more than text."""
        return [n for n, each in enumerate(data) if each != DONE and not self.is_text(each)]

    @abstractmethod
    def is_text(self, data: bytes) -> bool:
        """Read the data of one event, and say whether it is text and nothing else."""
