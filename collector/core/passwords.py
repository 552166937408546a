"""Passwords are kept as scrypt hashes (RFC 7914): `scrypt$N$r$p$salt$hash`, the last two in base64."""

import base64
import binascii
import hashlib
import hmac

from collector.core.errors import UsageError

N, R, P = 2**15, 8, 1  # 32 MiB and some 60 ms, as the OWASP cheat sheet on password storage asks for
FEWEST_CHARS, MOST_CHARS = 10, 200
_MOST_WORK = 2**20
_MAX_MEMORY = 256 * 1024 * 1024


def hash_password(password: str, salt: bytes) -> str:
    """The text to keep; `salt` is 16 random bytes. Raises UsageError for a password that is too short or too long."""
    if not FEWEST_CHARS <= len(password) <= MOST_CHARS:
        raise UsageError(f"a password has {FEWEST_CHARS} to {MOST_CHARS} characters, this one has {len(password)}")
    return f"scrypt${N}${R}${P}${_text(salt)}${_text(_derive(password, salt, N, R, P, 32))}"


def is_password(password: str, kept: str) -> bool:
    """Whether a password is the one whose hash was kept. Takes as long whichever way it goes."""
    n, r, p, salt, digest = _parts(kept)
    if len(password) > MOST_CHARS:
        return False
    return hmac.compare_digest(_derive(password, salt, n, r, p, len(digest)), digest)


def check_hash(kept: str) -> str:
    """The text, when it is a hash that can be checked. Raises UsageError that does not repeat it."""
    _parts(kept)
    return kept


def _parts(kept: str) -> tuple[int, int, int, bytes, bytes]:
    kind, *rest = kept.split("$")
    try:
        n, r, p = (int(text) for text in rest[:3])
        salt, digest = (base64.b64decode(text, validate=True) for text in rest[3:])
    except (ValueError, binascii.Error):
        kind, n, r, p, salt, digest = "", 0, 0, 0, b"", b""
    is_sound = n > 1 and n & (n - 1) == 0 and r > 0 and p > 0 and n * r * p <= _MOST_WORK
    if kind != "scrypt" or not is_sound or len(salt) < 8 or len(digest) < 16:
        raise UsageError("this is not the hash of a password: make one with `callmeter password`")
    return n, r, p, salt, digest


def _derive(password: str, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=length)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
