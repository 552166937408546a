"""What every reader takes and gives."""

import msgspec


class Options(msgspec.Struct, frozen=True):
    """What the file does not say itself. `columns` maps our names of columns to the file's."""

    model: str | None = None
    provider: str | None = None
    columns: dict[str, str] = {}
    zone: str = "UTC"  # of times without an offset


class Rejected(msgspec.Struct, frozen=True):
    """A row that could not be read as a call: the file's line from 1, why, and the row."""

    line: int
    reason: str
    text: str
