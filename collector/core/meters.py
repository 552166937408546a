"""METERS: every quantity that is measured of a call, with its unit and how it is charged."""

from enum import Enum

import msgspec

MAX_COUNT = 10**12  # of a meter, in one call


class Charge(Enum):
    """What happens when a meter is above 0 and a price set has no price for it or for a parent."""

    ALWAYS = "always"  # the call is unpriced, naming the unit
    IF_PRICED = "if priced"  # counted, not charged
    NEVER = "never"  # counted, never charged, whatever a set says


class Meter(msgspec.Struct, frozen=True):
    """One measured quantity. `parent` is the meter whose price it takes when it has none of its own."""

    name: str
    unit: str  # the unit's name in exports, singular
    direction: str  # "in", "out" or "" for neither
    modality: str  # "text", "audio", "image", "video" or ""
    cache: str = ""  # "read", "write" or ""
    parent: str | None = None
    charge: Charge = Charge.ALWAYS
    common: bool = False  # a column of its own in calls; the others share the sparse column

    @property
    def column(self) -> str:
        """The column's name in tables and views."""
        is_bare_token_count = self.unit == "token" and not self.name.endswith("_tokens")
        return f"{self.name}_tokens" if is_bare_token_count else self.name


_ALL = [
    Meter("input", "token", "in", "text", common=True),
    Meter("cache_read", "token", "in", "text", "read", parent="input", common=True),
    Meter("cache_write_5m", "token", "in", "text", "write", parent="input", common=True),
    Meter("cache_write_1h", "token", "in", "text", "write", parent="input", common=True),
    Meter("output", "token", "out", "text", common=True),
    Meter("reasoning", "token", "out", "text", parent="output", common=True),
    Meter("audio_in", "token", "in", "audio", common=True),
    Meter("audio_out", "token", "out", "audio", common=True),
    Meter("image_in_tokens", "token", "in", "image", parent="input", common=True),
    Meter("image_out_tokens", "token", "out", "image", common=True),
    Meter("images_in", "image", "in", "image", charge=Charge.IF_PRICED, common=True),
    Meter("images_out", "image", "out", "image", charge=Charge.IF_PRICED, common=True),
    Meter("video_in", "token", "in", "video"),
    Meter("cache_read_audio", "token", "in", "audio", "read", parent="audio_in"),
    Meter("cache_read_image", "token", "in", "image", "read", parent="image_in_tokens"),
    Meter("cache_read_video", "token", "in", "video", "read", parent="video_in"),
    Meter("web_searches", "search", "", "", charge=Charge.IF_PRICED),
    Meter("server_tool_calls", "tool call", "", "", charge=Charge.IF_PRICED),
    Meter("tool_calls", "function call", "", "", charge=Charge.NEVER),
    Meter("requests", "request", "", "", charge=Charge.IF_PRICED),
]

METERS: dict[str, Meter] = {meter.name: meter for meter in _ALL}
COMMON_METERS = tuple(m.name for m in _ALL if m.common)
SPARSE_METERS = tuple(m.name for m in _ALL if not m.common)
INPUT_TOKENS = tuple(m.name for m in _ALL if m.unit == "token" and m.direction == "in")
OUTPUT_TOKENS = tuple(m.name for m in _ALL if m.unit == "token" and m.direction == "out")
