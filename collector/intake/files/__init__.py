"""Calls out of files. READERS has one reader per format.

1. lines: a file as bounded, numbered lines; records: CSV rows out of lines
2. jsonl, table: lines or rows -> Call or Rejected, with ids that stay the same (ids)
3. load: all of it into the journal
"""

from collections.abc import Callable, Iterator

from collector.core.calls import Call
from collector.core.errors import UsageError
from collector.intake.files.jsonl import read_jsonl
from collector.intake.files.lines import Lines
from collector.intake.files.reading import Options, Rejected
from collector.intake.files.table import Table

Reader = Callable[[Lines, Options], Iterator[Call | Rejected]]

# The Azure LLM inference traces of 2023 and 2024: UTC, no status, no model.
_AZURE = {"started_at": "TIMESTAMP", "input_tokens": "ContextTokens", "output_tokens": "GeneratedTokens"}


def _read_csv(lines: Lines, options: Options) -> Iterator[Call | Rejected]:
    return Table("csv", options, options.columns).calls(lines)


def _read_azure(lines: Lines, options: Options) -> Iterator[Call | Rejected]:
    return Table("azure", options, _AZURE | options.columns).calls(lines)


READERS: dict[str, Reader] = {"jsonl": read_jsonl, "csv": _read_csv, "azure": _read_azure}


def reader_of(name: str, options: Options) -> Reader:
    """The reader of a format. Raises UsageError, naming the value and what there is."""
    if name not in READERS:
        raise UsageError(f"--format {name[:20]!r} cannot be read: write one of {', '.join(READERS)}")
    if name == "jsonl" and options.columns:
        raise UsageError("--columns maps the columns of a table: jsonl has its own names")
    return READERS[name]
