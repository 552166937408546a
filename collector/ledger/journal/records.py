"""What a line of the journal can say, and the line itself: `crc32 as 8 hex digits, space, JSON, newline`.

JSON escapes newlines and NULs, so a newline always ends a line and a NUL is always space not yet written.
`n` is the writer's own count of calls in its segment, from 1: Open, Whole and Reject each take one.
"""

from collections.abc import Callable
from zlib import crc32

import msgspec

from collector.core.calls import Call
from collector.core.told import Incident, Probe, ProviderSum, PulledPrice, SumsRead, Told

HEADER_BYTES = 9  # checksum and space
_TORN = "the checksum does not fit the line"
_NO_RECORD = "not a record of the journal: {}"
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError)


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


class Opening(msgspec.Struct, gc=False):
    """An Open that is only skimmed: most are closed a moment later, by a record that says all that they say."""

    n: int
    call_id: str
    body: bytes  # the record's JSON


class _Skimmed(msgspec.Struct, gc=False):
    id: str


class _SkimmedOpen(msgspec.Struct, gc=False, tag_field="kind", tag="open"):
    n: int
    call: _Skimmed


Skimmed = Close | Whole | Reject | Uncounted | Beside | Opening

_encoder = msgspec.json.Encoder()
_decode: Callable[[bytes], Record] = msgspec.json.Decoder(Record).decode
_decode_open: Callable[[bytes], Open] = msgspec.json.Decoder(Open).decode
_skim: Callable[[bytes], _SkimmedOpen | Close | Whole | Reject | Uncounted | Beside] = msgspec.json.Decoder(
    _SkimmedOpen | Close | Whole | Reject | Uncounted | Beside
).decode


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
        return _TORN
    try:
        return _decode(body)
    except _UNREADABLE as error:
        return _NO_RECORD.format(error)


def opened(opening: Opening) -> Call | str:
    """The call as its opening tells of it, or the reason why that cannot be read."""
    try:
        return _decode_open(opening.body).call
    except _UNREADABLE as error:
        return _NO_RECORD.format(error)


def skim(line: bytes) -> Skimmed | str:
    """As `decode` but for an opening, of which no more is read than by which call it is closed."""
    body = line[HEADER_BYTES:]
    if not line.startswith(b"%08x " % crc32(body)):
        return _TORN
    try:
        record = _skim(body)
    except _UNREADABLE as error:
        return _NO_RECORD.format(error)
    return Opening(record.n, record.call.id, body) if isinstance(record, _SkimmedOpen) else record
