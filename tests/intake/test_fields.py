import pytest

from collector.core.errors import InputError
from collector.intake.files import fields
from tests.tables import instant

NOON = instant("2026-10-01T12:00")


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2026-10-01T12:00:00Z", NOON),
        ("2026-10-01 12:00", NOON),
        ("2026-10-01T14:00:00+02:00", NOON),
        ("2026-10-01T17:45:00.0000019+05:45", NOON + 1),
        ("2023-11-16 18:15:46.6805909", instant("2023-11-16T18:15:46.680590")),
        ("1790856000", NOON),
        ("1790856000.25", NOON + 250_000),
        ("1790856000000", NOON),
        ("1790856000000000", NOON),
        ("1790856000000000999", NOON),
        ("1.790856e9", NOON),
    ],
)
def test_instants_are_read_to_the_microsecond_and_cut_there(text, us):
    assert fields.instant(text, "UTC") == us


def test_a_time_without_an_offset_is_in_the_zone():
    assert fields.instant("2026-10-01 14:00", "Europe/Berlin") == NOON


@pytest.mark.parametrize(
    "text", ["", "soon", "20261001", "12", "-5", "1e99", "1e400", "2300-01-01", "0001-01-01", "2026-13-01", "9" * 400]
)
def test_what_is_no_time_is_named(text):
    with pytest.raises(InputError, match="is not a time between 1970 and 2200"):
        fields.instant(text, "UTC")


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("12", 12), ("12.0", 12), ("1e3", 1000), ("+7", 7)])
def test_whole_numbers(text, number):
    assert fields.whole(text, "input_tokens") == number


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-1", "negative"),
        ("1.5", "not a whole number"),
        ("1e400", "not a number"),
        ("1e30", "more than"),
        ("1,000", "not a number"),
        ("0x10", "not a number"),
        ("inf", "not a number"),
        ("١٢", "not a number"),
        ("1_000", "not a number"),
        ("9" * 5_000, "not a number"),
    ],
)
def test_what_is_no_count_is_named_with_its_column(text, reason):
    with pytest.raises(InputError, match=f"input_tokens .*{reason}") as error:
        fields.whole(text, "input_tokens")
    assert len(str(error.value)) < 200


def test_durations_are_rounded_half_even():
    assert [fields.duration_ms(text, "latency_ms") for text in ("840.5", "841.5", "0", "1e2")] == [840, 842, 0, 100]


@pytest.mark.parametrize("text", ["", "null", "None", "nan", "NaN", " ", "\\N"])
def test_words_for_nothing_are_nothing(text):
    assert fields.stated(text) is None
