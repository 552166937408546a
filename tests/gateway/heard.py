"""What is read in whole streams, as they pass."""

from collector.intake.gateway.answer import Seen
from collector.intake.gateway.dialects import Dialect
from collector.intake.gateway.sse import Run


def data_in(events: bytes) -> list[bytes]:
    """The data of every event that has any."""
    return Run(events).data


def heard(dialect: Dialect, events: bytes, shape: str) -> Seen:
    """What a run of events says."""
    follower = dialect.follower(shape)
    follower.follow(data_in(events))
    return follower.seen
