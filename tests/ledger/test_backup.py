"""A backup is one moment, restores to the same books, never overwrites, and is refused when it is not whole."""

import io
import json
import tarfile
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.core.errors import CallmeterError, InputError, LedgerError, LockHeld, UsageError
from collector.jobs import collect, job_named
from collector.jobs.keep import try_backup
from collector.ledger import backup as backups
from collector.ledger.backup import backup, restore
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from collector.ledger.journal import Writer
from collector.locks import hold
from collector.settings import Settings, load_settings
from tests.cron.test_collect import run as command
from tests.ledger.contents import contents
from tests.stored import NOW_US, store
from tests.tables import call, calls

TABLE = "12:00 openai m 1000/500 ok\n12:01 openai m 1/1 ok app=shop user=ann"


def settings_of(folder: Path) -> Settings:
    return load_settings(folder, environ={})


def filled(folder: Path) -> Settings:
    """A data directory with two calls in the ledger, and one more in the journal."""
    store(folder, calls(TABLE)).dispose()
    writer = Writer(folder / "journal", "gateway", fsync="interval")
    writer.whole(call("12:02 openai m 1/1 ok"))
    writer.stop()
    (folder / "secret").write_text("00" * 32)
    (folder / "prices.toml").write_text("# none\n")
    return settings_of(folder)


def ids(folder: Path) -> set[str]:
    """The calls of a data directory when all of its journal is taken in."""
    engine = store(folder, [])
    assert check(engine, folder / "journal") == []
    with engine.connect() as connection:
        return set(connection.exec_driver_sql("SELECT id FROM v_calls").scalars())


def test_what_is_restored_is_what_was_backed_up(tmp_path: Path) -> None:
    settings, file = filled(tmp_path / "a"), tmp_path / "b.tar"
    content = backup(settings, file, NOW_US)
    assert set(content.sha256) >= {"callmeter.db", "prices.toml", "secret"}
    assert file.stat().st_mode & 0o777 == 0o600
    restored = settings_of(tmp_path / "c")
    restore(restored, file)
    assert (tmp_path / "c" / "secret").read_text() == "00" * 32
    assert ids(tmp_path / "c") == ids(tmp_path / "a")
    assert contents(open_ledger(restored.ledger_url)) == contents(open_ledger(settings.ledger_url))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_while_calls_are_written_every_call_of_before_is_in_it_once(tmp_path: Path) -> None:
    settings = filled(tmp_path / "a")
    writer = Writer(settings.journal_dir, "gateway", fsync="interval")
    stop, written = threading.Event(), []

    def write() -> None:
        n = 0
        while not stop.is_set():
            each = call(f"12:03:{n % 60:02d} openai m {n}/1 ok")
            ticket = writer.open(each)
            writer.close(ticket, each)
            written.append(each.id)
            n += 1

    thread = threading.Thread(target=write)
    thread.start()
    before: set[str] = set()
    for n in range(3):
        before = set(written)
        backup(settings, tmp_path / f"{n}.tar", NOW_US)
    after = set(written)
    stop.set()
    thread.join()
    writer.stop()
    restore(settings_of(tmp_path / "c"), tmp_path / "2.tar")
    found = ids(tmp_path / "c")
    assert len(before) > 0
    assert before <= found
    assert len(found) <= 3 + len(after) + 1  # one that was open becomes interrupted


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    settings, file = filled(tmp_path / "a"), tmp_path / "b.tar"
    backup(settings, file, NOW_US)
    with pytest.raises(UsageError, match=r"b.tar is there already: name another file"):
        backup(settings, file, NOW_US)
    before = (tmp_path / "a" / "callmeter.db").read_bytes()
    with pytest.raises(UsageError, match="is not overwritten, restore into an empty directory"):
        restore(settings, file)
    assert (tmp_path / "a" / "callmeter.db").read_bytes() == before
    (tmp_path / "d" / "journal").mkdir(parents=True)
    (tmp_path / "d" / "journal" / "x.jnl").write_text("")
    with pytest.raises(UsageError, match="journal is not overwritten"):
        restore(settings_of(tmp_path / "d"), file)


@pytest.mark.parametrize("name", ["callmeter.db", "state.db"])
def test_the_log_that_another_database_left_is_not_written_over_what_is_restored(name: str, tmp_path: Path) -> None:
    """Its process died and its file was taken away: SQLite takes what it left for the log of any file of that name."""
    settings, file = filled(tmp_path / "a"), tmp_path / "b.tar"
    backup(settings, file, NOW_US)
    left = tmp_path / "c" / f"{name}-wal"
    left.parent.mkdir()
    left.write_bytes(b"a log")
    with pytest.raises(UsageError, match=rf"{name}-wal is the log of another {name}: restore into an empty directory"):
        restore(settings_of(tmp_path / "c"), file)
    assert sorted((tmp_path / "c").iterdir()) == [left]


def test_an_ingest_that_goes_on_makes_a_backup_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = filled(tmp_path / "a")
    monkeypatch.setattr(backups, "LOCK_WAIT_S", 0.0)
    with hold(tmp_path / "a" / "ingest.lock", "ingest"), pytest.raises(LockHeld):
        backup(settings, tmp_path / "b.tar", NOW_US)
    assert not (tmp_path / "b.tar").exists()


def test_without_a_ledger_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="nothing to back up"):
        backup(settings_of(tmp_path), tmp_path / "b.tar", NOW_US)


def damaged(file: Path, how: Any) -> Path:
    """A copy of a backup, its members changed by `how`: name and bytes -> bytes, or None to leave it out."""
    out = file.with_name("damaged.tar")
    with tarfile.open(file) as source, tarfile.open(out, "w") as target:
        for member in source:
            held = source.extractfile(member)
            changed = how(member.name, held.read() if held else b"")
            for name, data in changed.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                target.addfile(info, io.BytesIO(data))
    return out


def manifest(**changes: Any) -> Any:
    def how(name: str, data: bytes) -> dict[str, bytes]:
        return {name: json.dumps({**json.loads(data), **changes}).encode() if name == "manifest.json" else data}

    return how


@pytest.mark.parametrize(
    ("how", "told"),
    [
        (lambda name, data: {name: data[:-1] if name == "callmeter.db" else data}, "damaged: callmeter.db is not what"),
        (lambda name, data: {} if name == "secret" else {name: data}, "damaged: secret is not what was backed up"),
        (lambda name, data: {} if name == "manifest.json" else {name: data}, "does not begin with manifest.json"),
        (lambda name, data: {name: data, "../evil": b"x"}, "holds '../evil', which no backup does"),
        (lambda name, data: {name: data, "journal/../../x.jnl": b"x"}, "which no backup does"),
        (lambda name, data: {name: data, "collect.lock": b"x"}, "which no backup does"),
        (manifest(format=2), "is a backup of format 2, this callmeter reads 1"),
        (manifest(sha256={}), "is not a backup"),
        (lambda name, data: {name: b"{" if name == "manifest.json" else data}, "is not a backup"),
    ],
)
def test_what_is_not_whole_is_refused_and_leaves_nothing(how: Any, told: str, tmp_path: Path) -> None:
    backup(filled(tmp_path / "a"), tmp_path / "b.tar", NOW_US)
    with pytest.raises(InputError, match=told.replace("(", r"\(")):
        restore(settings_of(tmp_path / "c"), damaged(tmp_path / "b.tar", how))
    assert list((tmp_path / "c").iterdir()) == []
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("size", [0, 100, 512, 5_000, 50_000])
def test_a_backup_that_is_cut_is_refused(size: int, tmp_path: Path) -> None:
    backup(filled(tmp_path / "a"), tmp_path / "b.tar", NOW_US)
    (tmp_path / "cut.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:size])
    with pytest.raises(InputError):
        restore(settings_of(tmp_path / "c"), tmp_path / "cut.tar")
    assert list((tmp_path / "c").iterdir()) == []


def test_a_ledger_newer_than_the_code_is_refused(tmp_path: Path) -> None:
    settings = filled(tmp_path / "a")
    with open_ledger(settings.ledger_url).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    backup(settings, tmp_path / "b.tar", NOW_US)
    with pytest.raises(LedgerError, match="revision '9999', newer than this callmeter"):
        restore(settings_of(tmp_path / "c"), tmp_path / "b.tar")


def test_the_job_makes_one_tries_it_and_keeps_some(tmp_path: Path) -> None:
    filled(tmp_path / "a")
    (tmp_path / "c.toml").write_text(f'[backups]\ndir = "{tmp_path / "kept"}"\nkeep = 2\n')
    settings = load_settings(tmp_path / "a", config=tmp_path / "c.toml", environ={})
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.tar").write_text("the user's own")
    for day in range(3):
        assert collect(settings, lambda day=day: NOW_US + day * 86_400_000_000, [job_named("backup")]) == []  # type: ignore[misc]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "callmeter-20261119T110640.tar", "callmeter-20261120T110640.tar", "mine.tar",
    ]  # fmt: skip


def test_a_backup_whose_books_differ_fails_the_job(tmp_path: Path) -> None:
    settings = filled(tmp_path / "a")
    with open_ledger(settings.ledger_url).begin() as connection:
        connection.exec_driver_sql("UPDATE calls SET cost = cost + 1")
    backup(settings, tmp_path / "b.tar", NOW_US)
    with pytest.raises(CallmeterError, match=r"b.tar was restored and differs in \d+ places"):
        try_backup(settings, tmp_path / "b.tar", NOW_US)


def test_the_commands(tmp_path: Path) -> None:
    filled(tmp_path / "a")
    file = str(tmp_path / "b.tar")
    done = command(tmp_path / "a", "backup", file)
    assert done.exit_code == 0, done.stderr
    assert "files, the ledger at revision" in done.stdout
    assert command(tmp_path / "a", "backup", file).exit_code == 2
    assert command(tmp_path / "c", "restore", file).exit_code == 0
    assert command(tmp_path / "c", "collect").exit_code == 0
    assert command(tmp_path / "c", "check").stdout.startswith("the books agree")
    assert command(tmp_path / "c", "restore", file).exit_code == 2
    assert command(tmp_path / "d", "restore", str(tmp_path / "nothing.tar")).exit_code == 2


def test_the_content_is_told_at_the_beginning_of_the_file(tmp_path: Path) -> None:
    content = backup(filled(tmp_path / "a"), tmp_path / "b.tar", NOW_US)
    with tarfile.open(tmp_path / "b.tar") as archive:
        held = archive.extractfile("manifest.json")
        assert held is not None
        assert msgspec.json.decode(held.read(), type=backups.Content) == content
