"""A line of the journal says what was recorded, or why it cannot be read; a record too large keeps its usage."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.core.calls import Attempt, Call
from collector.core.meters import METERS
from collector.core.outcomes import Outcome
from collector.core.told import Incident, Probe, ProviderSum, PulledPrice, SumsRead
from collector.ledger.journal.records import Close, Open, Record, Reject, Uncounted, Whole, beside, decode, encode
from collector.ledger.journal.shrink import CLOSE_BYTES, fit
from tests.ledger.journal_cases import START, call, largest_call

RECORDS = [
    Open(1, call(1)),
    Close(call(1, tags={"team": "a\nb"})),
    Whole(2, call(2, price={"id": "x", "prices": {"input": 10_000_000}}, cost=5)),
    Reject(3, 17, "no model", "half a line \0 \n"),
    Reject(4, None, "no id", ""),
    Uncounted(12, START, START + 5),
    beside(Probe("0" * 32, Attempt("openai", "m", START, Outcome.OK))),
    beside(ProviderSum("openai_usage", 20_000, "openai", START, "m", "key_1", "", 3, {"input": 5}, 7)),
    beside(SumsRead("openai_usage", "openai", 20_000, 20_001, START)),
    beside(PulledPrice("p1", "openrouter", "m", START, ({"model": "m", "prices": {"input": 5}},), ("new",))),
    beside(Incident("https://status.example", "i1", "openai", "slow", START, START, START)),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    line = encode(record)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert b"\0" not in line
    assert decode(line[:-1]) == record


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "checksum"),
        (b"00000000 {}", "checksum"),
        (encode(RECORDS[0])[:-2], "checksum"),
        (encode(RECORDS[0]).replace(b"openai", b"openAi")[:-1], "checksum"),
        (encode({"kind": "later", "n": 1})[:-1], "Invalid value 'later'"),  # type: ignore[arg-type]
        (encode({"kind": "open", "n": 1})[:-1], "missing required field `call`"),  # type: ignore[arg-type]
    ],
)
def test_a_line_that_is_no_record_gives_its_reason(line: bytes, reason: str) -> None:
    problem = decode(line)
    assert isinstance(problem, str)
    assert reason in problem


def test_a_record_within_its_bound_is_left_alone() -> None:
    record = Close(largest_call())
    assert fit(record, 65536) == encode(record)


def test_details_go_in_the_documented_order() -> None:
    whole = Close(call(tags={"t": "x" * 300}, session="s" * 300, app_title="A" * 300))
    bounds = range(len(encode(whole)), 0, -50)
    lost = [
        [name for name in ("tags", "session", "app_title") if not getattr(decode(fit(whole, b)[:-1]).call, name)]  # type: ignore[union-attr]
        for b in bounds
    ]
    unique = [step for n, step in enumerate(lost) if n == 0 or step != lost[n - 1]]
    assert unique == [[], ["tags"], ["tags", "session"], ["tags", "session", "app_title"]]


def test_of_many_attempts_the_first_and_the_last_stay_longest() -> None:
    tried = tuple(Attempt(f"p{n}", "m", START + n, Outcome.PROVIDER_FAULT, error_type="e" * 400) for n in range(5))
    full = Close(call(attempts=tried))
    without_details = decode(fit(full, 1200)[:-1])
    ends = decode(fit(full, 600)[:-1])
    assert [a.provider for a in without_details.call.attempts] == ["p0", "p1", "p2", "p3", "p4"]  # type: ignore[union-attr]
    assert [a.provider for a in ends.call.attempts] == ["p0", "p4"]  # type: ignore[union-attr]


@pytest.mark.parametrize("letter", ["字", '"', "a", "\U0001f600"])
def test_the_largest_close_fits_the_room_that_is_kept_for_it(letter: str) -> None:
    meters = dict.fromkeys(METERS, 2**63 - 1)
    record = Close(msgspec.structs.replace(largest_call(letter=letter), meters=meters))
    line = fit(record, 1)
    kept = decode(line[:-1])
    assert len(line) < CLOSE_BYTES
    assert isinstance(kept, Close)
    assert kept.call.meters == meters


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Call,
        id=st.just("0" * 32),
        source=st.just("gateway"),
        started_at=st.integers(0, 2**60),
        outcome=st.sampled_from(Outcome),
        model=st.none() | st.text(max_size=256),
        user=st.none() | st.text(max_size=256),
        tags=st.dictionaries(st.text(max_size=60), st.text(max_size=256), max_size=4),
        meters=st.dictionaries(st.sampled_from(sorted(METERS)), st.integers(0, 2**63 - 1)),
        reported_cost=st.none() | st.integers(-(2**62), 2**62),
    ),
    st.integers(1, 3000),
)
def test_however_small_the_bound_usage_outcome_and_reported_cost_stay(recorded: Call, bound: int) -> None:
    kept = decode(fit(Close(recorded), bound)[:-1])
    assert isinstance(kept, Close)
    assert (kept.call.id, kept.call.outcome) == (recorded.id, recorded.outcome)
    assert (kept.call.meters, kept.call.reported_cost) == (recorded.meters, recorded.reported_cost)
