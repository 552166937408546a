"""What a line of the journal can say, and the line itself: `crc32 as 8 hex digits, space, JSON, newline`.

JSON escapes newlines and NULs, so a newline always ends a line and a NUL is always space not yet written.
`n` is the writer's own count of calls in its segment, from 1: Open, Whole and Reject each take one.
"""

from zlib import crc32

import msgspec

from collector.core.calls import Call
from collector.core.told import Incident, Probe, ProviderSum, PulledPrice, SumsRead, Told

HEADER_BYTES = 9  # checksum and space


class Open(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="open"):
    """A call was taken on; nothing has been sent upstream yet."""

    n: int
    call: Call


class Close(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="close"):
    """A call that was opened in this segment has ended; `call` replaces what the opening said."""

    call: Call


class Whole(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="whole"):
    """A complete call that was never open: of a file, of the transport."""

    n: int
    call: Call


class Reject(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="reject"):
    """An input line that could not be read as a call, with its line number (None: it had none) and the reason."""

    n: int
    line: int | None
    reason: str
    text: str


class Uncounted(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="uncounted"):
    """`count` calls were let pass, from `since` until `until` (microseconds UTC), that the journal had no room for.

    They are in no other record and take no `n`.
    """

    count: int
    since: int
    until: int


class ProbeTold(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="probe"):
    """An endpoint was probed. Like all that follow it is no call and takes no `n`."""

    told: Probe


class SumTold(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="sum"):
    """A provider said something in sums."""

    told: ProviderSum


class SumsReadTold(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="sums_read"):
    """All sums of some days were read."""

    told: SumsRead


class PriceTold(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="price"):
    """A provider's price list has changed."""

    told: PulledPrice


class IncidentTold(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="incident"):
    """A status page told of an incident."""

    told: Incident


Beside = ProbeTold | SumTold | SumsReadTold | PriceTold | IncidentTold
Record = Open | Close | Whole | Reject | Uncounted | Beside

BESIDE: dict[type, type[Beside]] = {
    Probe: ProbeTold,
    ProviderSum: SumTold,
    SumsRead: SumsReadTold,
    PulledPrice: PriceTold,
    Incident: IncidentTold,
}

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """The line of a record, its newline included."""
    body = _encoder.encode(record)
    return b"%08x %b\n" % (crc32(body), body)


def beside(told: Told) -> Beside:
    """The record of what is learned beside calls."""
    return BESIDE[type(told)](told)  # type: ignore[arg-type]


def decode(line: bytes) -> Record | str:
    """The record of a line without its newline, or the reason why it cannot be read."""
    body = line[HEADER_BYTES:]
    if not line.startswith(b"%08x " % crc32(body)):
        return "the checksum does not fit the line"
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"not a record of the journal: {error}"
