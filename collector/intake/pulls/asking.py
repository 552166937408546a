"""GET, bounded in time, size and tries. No key and no answer's text is ever in an error."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from collector.core.errors import SourceError

T = TypeVar("T")
Params = Sequence[tuple[str, str]]
ATTEMPT_S = 30.0  # without a byte
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})


class Bounds(msgspec.Struct, frozen=True):
    """How long all requests of one pull may take together, how large an answer may be, how often one is asked for."""

    seconds: float = 240.0
    max_bytes: int = 16 * 1024 * 1024
    tries: int = 4


class NotThere(SourceError):
    """What was asked for is not there: 404."""


class Asker:
    """Asks one address. `key_name` is the variable that holds the key, for errors; `sleep` waits seconds."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        bounds: Bounds,
        key_name: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self.host = urlsplit(base_url).netloc.rpartition("@")[2]
        self._base_url, self._bounds, self._key_name = base_url.rstrip("/"), bounds, key_name
        self._sleep, self._now_s = sleep, now_s
        self._deadline = time.monotonic() + bounds.seconds
        headers = {"Accept": "application/json", "User-Agent": "callmeter", **headers}
        self._client = httpx.Client(headers=headers, timeout=ATTEMPT_S, follow_redirects=False)

    def __enter__(self) -> "Asker":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, kind: type[T], params: Params = ()) -> T:
        """The JSON answer of a path, read as `kind`. Raises SourceError when there is none, or another one."""
        body = self.body(path, params)
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError) as error:
            raise SourceError(
                f"{self.host}{path} answered in another form than documented: {error}:"
                " callmeter has to learn it, or something else answers at that address"
            ) from None

    def body(self, path: str, params: Params = ()) -> bytes:
        """The body of a 2xx answer. Raises SourceError."""
        attempt = 1
        while isinstance(answer := self._once(path, params), _Failure):
            if not answer.is_worth_another or attempt >= self._bounds.tries:
                kind = NotThere if answer.status == 404 else SourceError
                raise kind(f"{self.host}{path} {answer.said}{self._advice(answer)}")
            wait_s = _pause_s(attempt) if answer.wait_s is None else answer.wait_s
            if time.monotonic() + wait_s > self._deadline:
                raise SourceError(
                    f"{self.host}{path} {answer.said} and may be asked again in {wait_s:.0f} s: too late now"
                )
            self._sleep(wait_s)
            attempt += 1
        return answer

    def _once(self, path: str, params: Params) -> "bytes | _Failure":
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            return _Failure(f"was not asked: {self._bounds.seconds:.0f} s were over", False)
        try:
            with self._client.stream(
                "GET", self._base_url + path, params=list(params), timeout=min(ATTEMPT_S, left_s)
            ) as answer:
                if answer.is_success:
                    return self._read(answer)
                wait_s = retry_after_s(answer.headers.get("retry-after"), self._now_s())
                status = answer.status_code
                return _Failure(f"answered {status}", status in AGAIN, wait_s, status)
        except httpx.TimeoutException:
            return _Failure("did not answer in time", True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return _Failure(f"could not be asked: {type(error).__name__}", True)

    def _read(self, answer: httpx.Response) -> "bytes | _Failure":
        pieces, size = [], 0
        for piece in answer.iter_bytes():
            size += len(piece)
            if size > self._bounds.max_bytes:
                return _Failure(f"answered with more than max_page_bytes = {self._bounds.max_bytes}", False)
            if time.monotonic() > self._deadline:
                return _Failure("answered too slowly", False)
            pieces.append(piece)
        return b"".join(pieces)

    def _advice(self, answer: "_Failure") -> str:
        if answer.status in (401, 403) and self._key_name:
            return f": is the key in {self._key_name} one that may read this?"
        if answer.status in (401, 403):
            return ": it wants a key, set key_env"
        return ""


class _Failure(msgspec.Struct, frozen=True):
    said: str
    is_worth_another: bool
    wait_s: float | None = None
    status: int | None = None


def retry_after_s(text: str | None, now_s: float) -> float | None:
    """The seconds that a Retry-After header asks to wait (RFC 9110, 10.2.3: seconds or a date); None for none."""
    if not text:
        return None
    try:
        wait_s = float(text) if text.strip().isdigit() else parsedate_to_datetime(text).timestamp() - now_s
        return max(0.0, wait_s)
    except (ValueError, TypeError, OverflowError):
        return None


def _pause_s(attempt: int) -> float:
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * float(2 ** (attempt - 1))) * random.uniform(0.5, 1.5)


def bearer(key: str | None) -> dict[str, str]:
    """The header of OpenAI's and OpenRouter's APIs."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def anthropic(key: str | None) -> dict[str, str]:
    """The headers of Anthropic's API."""
    return {"anthropic-version": "2023-06-01", **({"x-api-key": key} if key else {})}


def plain(value: Any) -> str:
    """A text of an answer as it is kept: one line, bounded; "" for None."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text[:1024]).strip()[:256]
