import gzip

import pytest

from collector.core.errors import InputError
from collector.intake.files.lines import MAX_LINE_BYTES, Line, Lines
from collector.intake.files.reading import Rejected
from collector.intake.files.records import MAX_RECORD_LINES, Record, records


def lines(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    return Lines(path)


def csv_of(tmp_path, text):
    return list(records(lines(tmp_path, text.encode())))


def test_lines_are_numbered_and_bear_no_end_nor_mark(tmp_path):
    assert list(lines(tmp_path, b"\xef\xbb\xbfa\r\n\nb")) == [Line(1, "a"), Line(2, ""), Line(3, "b")]


def test_gzip_is_known_by_its_content(tmp_path):
    assert list(lines(tmp_path, gzip.compress(b"a\nb\n"))) == [Line(1, "a"), Line(2, "b")]


def test_a_gzip_file_that_breaks_off_is_read_up_to_there_and_said(tmp_path):
    whole = gzip.compress(b"".join(b"%d %d\n" % (n, n * 7919) for n in range(20_000)))
    found: list[object] = []
    with pytest.raises(InputError, match="broken gzip"):
        found.extend(lines(tmp_path, whole[: len(whole) // 2]))
    assert found[0] == Line(1, "0 0")
    assert len(found) > 1_000


def test_another_encoding_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match="UTF-16: save it as UTF-8"):
        list(lines(tmp_path, "a,b\n1,2\n".encode("utf-16")))


def test_bad_lines_cost_themselves_alone(tmp_path):
    content = b"a\nb\xff\nc\0\n" + b"x" * (3 * MAX_LINE_BYTES) + b"\nend\n"
    found = list(lines(tmp_path, content))
    assert [type(each) for each in found] == [Line, Rejected, Rejected, Rejected, Line]
    assert [each.line for each in found[1:4]] == [2, 3, 4]
    assert "byte 2 of the line (0xff) is not UTF-8" in found[1].reason
    assert "NUL" in found[2].reason
    assert f"longer than {MAX_LINE_BYTES}" in found[3].reason
    assert len(found[3].text) < 10_000
    assert found[4] == Line(5, "end")


def test_a_quoted_field_may_span_lines(tmp_path):
    assert csv_of(tmp_path, 'a,b\n"x\n""y""\n",1\nz,2\n') == [
        Record(1, ["a", "b"], "a,b"),
        Record(2, ['x\n"y"\n', "1"], '"x\n""y""\n",1'),
        Record(5, ["z", "2"], "z,2"),
    ]


@pytest.mark.parametrize("broken", ['"x,1', 'x,"1', '"x"y,1'])
def test_a_broken_quote_costs_its_own_line_and_no_other(tmp_path, broken):
    good = "".join(f"r{n},{n}\n" for n in range(3 * MAX_RECORD_LINES))
    found = csv_of(tmp_path, f"a,b\n{broken}\n{good}")
    assert isinstance(found[1], Rejected)
    assert found[1].line == 2
    assert [each.fields[0] for each in found[2:]] == [f"r{n}" for n in range(3 * MAX_RECORD_LINES)]


def test_two_broken_quotes_do_not_swallow_what_is_between_them(tmp_path):
    found = csv_of(tmp_path, 'a,b\n"x,1\ny,2\n"z,3\nw,4\n')
    assert [each.line for each in found if isinstance(each, Rejected)] == [2, 4]
    assert [each.fields for each in found if isinstance(each, Record)] == [["a", "b"], ["y", "2"], ["w", "4"]]


def test_a_row_of_another_width_is_rejected_with_both_numbers(tmp_path):
    found = csv_of(tmp_path, "a,b\n1\n1,2,3\n1,2\n")
    assert [each.reason for each in found[1:3]] == [
        "the row has 1 fields, the header has 2",
        "the row has 3 fields, the header has 2",
    ]
    assert found[3] == Record(4, ["1", "2"], "1,2")
