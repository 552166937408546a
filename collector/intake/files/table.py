"""Calls from a table of any program: CSV with a header, its columns mapped to ours.

FIELDS are the columns that are read. `input_tokens` and the other meters are disjoint, as in the ledger (`input_tokens`
without cached ones, `output_tokens` without reasoning); a file that counts as most providers do, with parts inside the
totals, maps `prompt_tokens` and `completion_tokens`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from collector.core.calls import Call, Quality, clip
from collector.core.errors import InputError, UsageError
from collector.core.meters import INPUT_TOKENS, METERS, OUTPUT_TOKENS
from collector.core.outcomes import Facts, Outcome, decide, normal_finish_reason
from collector.intake.files import fields
from collector.intake.files.ids import RowIds
from collector.intake.files.lines import Lines
from collector.intake.files.reading import Options, Rejected
from collector.intake.files.records import Record, records

_METERS = {meter.column: name for name, meter in METERS.items()}
_TOTALS = {"prompt_tokens": ("input", INPUT_TOKENS), "completion_tokens": ("output", OUTPUT_TOKENS)}
_NAMES = ("model", "served_model", "provider", "app", "key", "user", "session", "operation", "service_tier")
_TEXTS = (*_NAMES, "origin_id", "error_type")
_DURATIONS = ("latency_ms", "first_token_ms")
_ENDINGS = ("status", "outcome", "finish_reason", "streamed", "reported_cost_usd")
FIELDS = ("started_at", *_TEXTS, *_METERS, *_TOTALS, *_DURATIONS, *_ENDINGS)


class Table:
    """Reads the rows of a table as calls. `columns` maps FIELDS to the file's columns; the others go by their name."""

    def __init__(self, source: str, options: Options, columns: Mapping[str, str]) -> None:
        if unknown := [name for name in columns if name not in FIELDS]:
            raise UsageError(f"--columns {unknown[0][:40]!r} is no column of ours: write some of {','.join(FIELDS)}")
        self._source = source
        self._options = options
        self._columns = columns
        self._ids = RowIds(source, options.model, options.provider)

    def calls(self, lines: Lines) -> Iterator[Call | Rejected]:
        """The calls of the rows after the header. Raises InputError where the header has no time or lacks a column."""
        rows = records(lines)
        header = next(rows, None)
        if header is None:
            return
        if isinstance(header, Rejected):
            raise InputError(f"line {header.line}, the header, cannot be read: {header.reason}")
        names = [name.strip() for name in header.fields]
        places = self._places(names)
        if unread := [name for n, name in enumerate(names) if n not in places.values()]:
            lines.notes.append(f"columns that are not read: {','.join(unread)[:300]}")
        for row in rows:
            yield row if isinstance(row, Rejected) else self._call(row, places)

    def _places(self, header: list[str]) -> dict[str, int]:
        mapped = {name: name for name in FIELDS if name in header} | dict(self._columns)
        for name, column in mapped.items():
            if header.count(column) != 1:
                found = "is twice in" if column in header else "is not in"
                raise InputError(f"column {column!r} ({name}) {found} the header: {','.join(header)[:300]}")
        if "started_at" not in mapped:
            columns = ",".join(header)[:300]
            raise InputError(f"no column says when a call started: name it, --columns started_at=..., one of {columns}")
        for total, (part, _) in _TOTALS.items():
            if total in mapped and METERS[part].column in mapped:
                raise InputError(f"{total} and {METERS[part].column} are both there: map one of them with --columns")
        return {name: header.index(column) for name, column in mapped.items()}

    def _call(self, row: Record, places: Mapping[str, int]) -> Call | Rejected:
        texts = {name: text for name, at in places.items() if (text := fields.stated(row.fields[at])) is not None}
        try:
            started_at = fields.instant(texts.get("started_at", ""), self._options.zone)
            stated = _stated(texts)
        except InputError as error:
            return Rejected(row.line, str(error), row.text)
        stated["model"] = stated.get("model") or self._options.model
        stated["provider"] = stated.get("provider") or self._options.provider
        return Call(id=self._ids.next(started_at, row.text), source=self._source, started_at=started_at, **stated)


def _stated(texts: Mapping[str, str]) -> dict[str, Any]:
    """The fields of Call that a row states."""
    found: dict[str, Any] = {name: name_ for name in _TEXTS if (name_ := clip(texts.get(name)))}
    found |= {name: fields.duration_ms(texts[name], name) for name in _DURATIONS if name in texts}
    if native := texts.get("finish_reason"):
        found |= {"finish_reason": normal_finish_reason(native), "native_finish_reason": clip(native)}
    if "streamed" in texts:
        found["streamed"] = fields.flag(texts["streamed"], "streamed")
    if "reported_cost_usd" in texts:
        found["reported_cost"] = fields.money(texts["reported_cost_usd"], "reported_cost_usd")
    if meters := _meters(texts):
        found |= {"meters": meters, "quality": Quality.EXACT}
    return found | _ending(texts)


def _meters(texts: Mapping[str, str]) -> dict[str, int]:
    meters = {name: fields.whole(texts[column], column) for column, name in _METERS.items() if column in texts}
    for column, (main, side) in _TOTALS.items():
        if column in texts:
            total, parts = fields.whole(texts[column], column), sum(meters.get(name, 0) for name in side)
            if parts > total:
                raise InputError(f"{column} {total} is less than its parts, {parts}")
            meters[main] = total - parts
    return meters


def _ending(texts: Mapping[str, str]) -> dict[str, Any]:
    """HTTP status and outcome: the outcome is taken as stated, or decided by the status, or unknown."""
    words = {name: texts.get(name, "").lower() for name in ("outcome", "status")}
    status = int(words["status"]) if words["status"].isdecimal() and 100 <= int(words["status"]) <= 999 else None
    for word in words.values():
        if word in _OUTCOMES:
            return {"http_status": status, "outcome": _OUTCOMES[word]}
    if words["outcome"]:
        raise InputError(f"outcome {texts['outcome'][:40]!r} is none: write one of {', '.join(Outcome)}")
    facts = Facts(status, error_type=texts.get("error_type"), finish_reason=texts.get("finish_reason"), source="csv")
    return {"http_status": status, "outcome": decide(facts)}


_OUTCOMES = {str(outcome): outcome for outcome in Outcome} | {"success": Outcome.OK, "succeeded": Outcome.OK}
