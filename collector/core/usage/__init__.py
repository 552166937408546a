"""Usage: what a provider says a call consumed, as disjoint meters."""

from collector.core.usage.reader import Reading, decode_answer, find_usage, merge_stream_usage, read_usage
from collector.core.usage.shapes import USAGE_PATHS

__all__ = ["USAGE_PATHS", "Reading", "decode_answer", "find_usage", "merge_stream_usage", "read_usage"]
