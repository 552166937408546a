import pytest

from collector.core.calls import Quality
from collector.core.errors import InputError, UsageError
from collector.core.outcomes import Outcome
from collector.intake.files import READERS, reader_of
from collector.intake.files.lines import Lines
from collector.intake.files.reading import Options, Rejected
from tests.tables import instant


def read(tmp_path, text, file_format="csv", **options):
    path = tmp_path / "file"
    path.write_text(text, newline="")
    lines = Lines(path)
    found = list(reader_of(file_format, Options(**options))(lines, Options(**options)))
    return found, lines.notes


def test_every_column_has_its_place(tmp_path):
    (call,), notes = read(
        tmp_path,
        "started_at,model,provider,app,key,user,input_tokens,output_tokens,cache_read_tokens,images_in,status,"
        "latency_ms,first_token_ms,finish_reason,streamed,reported_cost_usd,colour\n"
        "2026-10-01T12:00:00Z,m,p,shop,k,u,1000,500,7,2,200,840.4,90,end_turn,true,0.0539,red\n",
    )
    assert call.started_at == instant("2026-10-01T12:00")
    assert call.meters == {"input": 1000, "output": 500, "cache_read": 7, "images_in": 2}
    assert (call.model, call.provider, call.app, call.key, call.user) == ("m", "p", "shop", "k", "u")
    assert (call.outcome, call.http_status, call.latency_ms, call.first_token_ms) == (Outcome.OK, 200, 840, 90)
    assert (call.finish_reason, call.native_finish_reason, call.streamed) == ("stop", "end_turn", True)
    assert (call.reported_cost, call.cost, call.quality) == (53_900_000_000, None, Quality.EXACT)
    assert notes == ["columns that are not read: colour"]


def test_totals_that_hold_their_parts_are_taken_apart(tmp_path):
    (call,), _ = read(
        tmp_path,
        "ts,prompt,cached,completion,thought\n1790856000,100,30,50,20\n",
        columns={
            "started_at": "ts",
            "prompt_tokens": "prompt",
            "cache_read_tokens": "cached",
            "completion_tokens": "completion",
            "reasoning_tokens": "thought",
        },
    )
    assert call.meters == {"input": 70, "cache_read": 30, "output": 30, "reasoning": 20}


def test_parts_above_their_total_are_rejected_with_both_numbers(tmp_path):
    (row,), _ = read(tmp_path, "started_at,prompt_tokens,cache_read_tokens\n2026-10-01T12:00Z,100,130\n")
    assert row == Rejected(2, "prompt_tokens 100 is less than its parts, 130", "2026-10-01T12:00Z,100,130")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("200", Outcome.OK),
        ("500", Outcome.PROVIDER_FAULT),
        ("429", Outcome.RATE_LIMITED),
        ("400", Outcome.CALLER_FAULT),
        ("401", Outcome.CALLER_FAULT),
        ("success", Outcome.OK),
        ("ok", Outcome.OK),
        ("cancelled", Outcome.CANCELLED),
        ("strange", Outcome.UNKNOWN),
        ("", Outcome.UNKNOWN),
        ("99999", Outcome.UNKNOWN),
    ],
)
def test_a_status_decides_the_outcome(tmp_path, status, outcome):
    (call,), _ = read(tmp_path, f"started_at,status\n2026-10-01T12:00Z,{status}\n")
    assert call.outcome == outcome


def test_bad_rows_are_listed_with_line_and_reason_and_the_rest_is_read(tmp_path):
    found, _ = read(
        tmp_path,
        "started_at,input_tokens,latency_ms\n"
        "2026-10-01T12:00Z,1,1\n"
        "never,1,1\n"
        "2026-10-01T12:00Z,-5,1\n"
        "2026-10-01T12:00Z,1.5,1\n"
        "2026-10-01T12:00Z,1e400,1\n"
        "2026-10-01T12:00Z,1\n"
        "\n"
        "2026-10-01T12:01Z,2,\n",
    )
    rejected = [each for each in found if isinstance(each, Rejected)]
    assert [each.line for each in rejected] == [3, 4, 5, 6, 7]
    assert "'never' is not a time" in rejected[0].reason
    assert rejected[1].reason == "input_tokens -5 is negative"
    assert [each.meters["input"] for each in found if not isinstance(each, Rejected)] == [1, 2]


def test_the_same_rows_have_the_same_ids_and_equal_rows_different_ones(tmp_path):
    text = "started_at,input_tokens\n" + "2026-10-01T12:00Z,1\n" * 3
    first, _ = read(tmp_path, text)
    grown, _ = read(tmp_path, text + "2026-10-01T12:00Z,1\n")
    assert len({call.id for call in first}) == 3
    assert [call.id for call in grown[:3]] == [call.id for call in first]
    other_model, _ = read(tmp_path, text, model="m")
    assert {call.id for call in other_model}.isdisjoint(call.id for call in first)


def test_flags_say_what_rows_do_not(tmp_path):
    found, _ = read(tmp_path, "started_at,model\n2026-10-01T12:00Z,\n2026-10-01T12:00Z,own\n", model="m", provider="p")
    assert [(call.model, call.provider) for call in found] == [("m", "p"), ("own", "p")]


def test_the_azure_trace_states_no_status(tmp_path):
    (call,), _ = read(
        tmp_path,
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n",
        "azure",
        model="openai/gpt-4-turbo",
    )
    assert (call.started_at, call.meters) == (instant("2023-11-16T18:15:46.680590"), {"input": 374, "output": 44})
    assert (call.outcome, call.source, call.http_status) == (Outcome.UNKNOWN, "azure", None)


@pytest.mark.parametrize(
    ("header", "columns", "named"),
    [
        ("time,input_tokens", {}, "no column says when a call started.*time,input_tokens"),
        ("started_at", {"model": "Modell"}, "column 'Modell' .model. is not in the header"),
        ("started_at,started_at", {}, "is twice in the header"),
        ("started_at,input_tokens,prompt_tokens", {}, "prompt_tokens and input_tokens are both there"),
        ('"started_at', {}, "line 1, the header, cannot be read"),
    ],
)
def test_a_header_that_cannot_be_read_is_an_error_that_says_why(tmp_path, header, columns, named):
    with pytest.raises(InputError, match=named):
        read(tmp_path, f"{header}\n1790856000,1,1\n", columns=columns)


def test_an_empty_file_has_no_calls(tmp_path):
    assert read(tmp_path, "") == ([], [])


def test_wrong_use_names_what_there_is(tmp_path):
    with pytest.raises(UsageError, match=f"'xml' cannot be read: write one of {', '.join(READERS)}"):
        reader_of("xml", Options())
    with pytest.raises(UsageError, match="'colour' is no column of ours"):
        read(tmp_path, "started_at\n", columns={"colour": "c"})
    with pytest.raises(UsageError, match="jsonl has its own names"):
        reader_of("jsonl", Options(columns={"model": "m"}))
