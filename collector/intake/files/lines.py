"""A text file as numbered lines: UTF-8, plain or gzip, in bounded memory, whatever is in it."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from collector.core.errors import InputError
from collector.intake.files.reading import Rejected

MAX_LINE_BYTES = 1024 * 1024
_SHOWN_BYTES = 2048
_GZIP = b"\x1f\x8b"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class Line(NamedTuple):
    """A line without its end, and its number from 1."""

    number: int
    text: str


class Lines:
    """The lines of a file, once, from its beginning. `read_bytes` of `size` tell how far it got.

    A line that is too long, no UTF-8 or has a NUL comes as Rejected. Raises InputError for a file of another encoding
    and where a gzip file breaks off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.notes: list[str] = []  # what a reader wants said once the file is read
        self._raw = path.open("rb")

    @property
    def read_bytes(self) -> int:
        return min(self._raw.tell(), self.size) if not self._raw.closed else self.size

    def __iter__(self) -> Iterator[Line | Rejected]:
        try:
            yield from self._lines(self._unpacked())
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(f"{self.path} is a broken gzip file: what it holds up to there was read") from error
        finally:
            self._raw.close()

    def _unpacked(self) -> BinaryIO:
        start = self._raw.peek(2)[:2]
        return cast(BinaryIO, gzip.GzipFile(fileobj=self._raw)) if start == _GZIP else self._raw

    def _lines(self, file: BinaryIO) -> Iterator[Line | Rejected]:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                raw = self._without_mark(raw)
            if len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n"):
                _skip_line(file)
                yield Rejected(number, f"the line is longer than {MAX_LINE_BYTES} bytes", _shown(raw))
            else:
                yield _line(number, raw)

    def _without_mark(self, raw: bytes) -> bytes:
        if raw.startswith(_UTF16_MARKS):
            raise InputError(f"{self.path} is UTF-16: save it as UTF-8")
        return raw.removeprefix(_UTF8_MARK)


def _line(number: int, raw: bytes) -> Line | Rejected:
    raw = raw.rstrip(b"\r\n")
    if b"\0" in raw:
        return Rejected(number, "the line holds a NUL byte", _shown(raw))
    try:
        return Line(number, raw.decode())
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} of the line (0x{raw[error.start]:02x}) is not UTF-8: save the file as UTF-8"
        return Rejected(number, reason, _shown(raw))


def _skip_line(file: BinaryIO) -> None:
    while (more := file.readline(MAX_LINE_BYTES)) and not more.endswith(b"\n"):
        pass


def _shown(raw: bytes) -> str:
    return raw[:_SHOWN_BYTES].decode(errors="backslashreplace")
