from collector.intake.files.ids import RowIds


def test_ordinals_are_the_same_in_memory_and_on_disk():
    rows = [str(n % 7) for n in range(50)]
    in_memory, mostly_on_disk = RowIds("csv"), RowIds("csv", in_memory=2)
    ids = [in_memory.next(10**15, row) for row in rows]
    assert ids == [mostly_on_disk.next(10**15, row) for row in rows]
    assert len(set(ids)) == 50


def test_the_format_and_the_flags_tell_rows_apart():
    ids = {RowIds(*salt).next(10**15, "row") for salt in (("csv",), ("azure",), ("csv", "m"), ("csv", None, "m"))}
    assert len(ids) == 4
