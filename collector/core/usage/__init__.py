"""Usage: what a provider says a call consumed, as disjoint meters.

1. `shapes` says, as data, where each provider states what.  2. `paths` reads one count.  3. `cost` reads money.
4. `reader` puts them together.
"""

from collector.core.usage.reader import (
    Reading,
    decode_answer,
    find_service_tier,
    find_usage,
    merge_stream_usage,
    read_usage,
)
from collector.core.usage.shapes import USAGE_PATHS, Shape, shape_for

__all__ = [
    "USAGE_PATHS",
    "Reading",
    "Shape",
    "decode_answer",
    "find_service_tier",
    "find_usage",
    "merge_stream_usage",
    "read_usage",
    "shape_for",
]
