"""One file with all of one moment: the ledger, state.db, the journal, the user's prices, the secret of key names.

The lock of the ingest is held meanwhile, so that the ledger stands still and no segment of the journal goes away; the
journal is copied after it, so every call that was journalled when the backup began is in the one or the other, and
what is in both is counted once. A restored journal is taken into the ledger by the next drain.
"""

import hashlib
import os
import re
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp

import msgspec

from collector.core.errors import InputError, LedgerError, UsageError
from collector.ledger import migrate
from collector.ledger.engines import bare_engine, ledger_path
from collector.ledger.ingest import LOCK_NAME
from collector.locks import hold
from collector.settings import Settings

FORMAT = 1
MANIFEST = "manifest.json"
LEDGER, STATE = "callmeter.db", "state.db"
OTHERS = ("prices.toml", "secret")
LOCK_WAIT_S = 60.0
MAX_MEMBERS = 1_000_000
_SEGMENT = re.compile(r"journal/[A-Za-z0-9_.-]{1,200}\.jnl")
_PIECE = 1 << 20


class Content(msgspec.Struct, frozen=True):
    """What a backup holds: the digest of each file by its name, and the revision of its ledger."""

    format: int
    made_at: int
    revision: str
    sha256: dict[str, str]


def backup(settings: Settings, file: Path, now_us: int) -> Content:
    """Writes a backup to `file`, readable by its owner only. Raises UsageError when it is there, LockHeld."""
    if file.exists():
        raise UsageError(f"{file} is there already: name another file, nothing is overwritten")
    ledger = _ledger(settings)
    if not ledger.exists():
        raise LedgerError(f"there is no ledger at {ledger}: nothing to back up")
    with _folder_beside(file) as folder:
        with hold(settings.data_dir / LOCK_NAME, "ingest", LOCK_WAIT_S):
            found = dict(_copies(settings, ledger, folder))
        content = Content(FORMAT, now_us, _revision(found[LEDGER]), {name: _sha256(at) for name, at in found.items()})
        unfinished = folder / "unfinished"
        _write(unfinished, content, found)
        os.link(unfinished, file)  # fails where somebody made the file meanwhile
    return content


def restore(settings: Settings, file: Path) -> Content:
    """Puts everything of a backup where the settings keep it. Raises UsageError where something is, InputError.

    Nothing is in its place before all of it was read and every digest is right.
    """
    targets = _targets(settings)
    for name, target in targets.items():
        if target.exists() and (target.is_file() or any(target.iterdir())):
            raise UsageError(f"{target} is there already: {name} is not overwritten, restore into an empty directory")
        if (log := target.with_name(f"{target.name}-wal")).exists():  # SQLite would write it over what is restored
            raise UsageError(f"{log} is the log of another {name}: restore into an empty directory")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _folder_beside(settings.data_dir / "restored") as folder:
        content = _read(file, folder)
        _refuse_newer(folder / LEDGER, file)
        targets[LEDGER].parent.mkdir(parents=True, exist_ok=True)
        for name, target in sorted(targets.items(), key=lambda each: each[0] == LEDGER):  # the ledger comes last
            if (folder / name).exists():
                if target.is_dir():
                    target.rmdir()
                shutil.move(folder / name, target)
    return content


def _ledger(settings: Settings) -> Path:
    path = ledger_path(settings.ledger_url)
    if path is None:
        raise LedgerError("only a ledger in a file can be backed up and restored here")
    return path


def _targets(settings: Settings) -> dict[str, Path]:
    others = {name: settings.data_dir / name for name in OTHERS}
    return {LEDGER: _ledger(settings), STATE: settings.state_path, "journal": settings.journal_dir, **others}


def _copies(settings: Settings, ledger: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of everything, in the order that makes them one moment: the journal after the ledger."""
    yield LEDGER, _copy_database(ledger, folder / LEDGER)
    if settings.state_path.exists():
        yield STATE, _copy_database(settings.state_path, folder / STATE)
    for name in OTHERS:
        if (source := settings.data_dir / name).exists():
            yield name, Path(shutil.copyfile(source, folder / name))
    (folder / "journal").mkdir()
    for source in sorted(settings.journal_dir.glob("*.jnl")):
        name = f"journal/{source.name}"
        yield name, Path(shutil.copyfile(source, folder / name))


def _copy_database(source: Path, target: Path) -> Path:
    try:
        with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
            one.backup(other)
    except sqlite3.Error as error:
        raise LedgerError(f"{source} could not be copied: {error}") from error
    return target


def _write(unfinished: Path, content: Content, found: dict[str, Path]) -> None:
    manifest = msgspec.json.format(msgspec.json.encode(content))
    with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
        about = tarfile.TarInfo(MANIFEST)
        about.size = len(manifest)
        archive.addfile(about, BytesIO(manifest))
        for name, path in found.items():
            archive.add(path, arcname=name, recursive=False)
    unfinished.chmod(0o600)
    with unfinished.open("rb") as written:
        os.fsync(written.fileno())


def _read(file: Path, folder: Path) -> Content:
    """Writes the files of a backup into a folder. Raises InputError for what is no backup, or a damaged one."""
    try:
        with tarfile.open(file, "r:") as archive:
            content = _manifest(archive, file)
            for n, member in enumerate(iter(archive.next, None)):
                if (
                    n > MAX_MEMBERS
                    or not member.isreg()
                    or not _is_known(member.name)
                    or member.name not in content.sha256
                ):
                    raise InputError(f"{file} holds {member.name[:80]!r}, which no backup does")
                _extract(archive, member, folder / member.name)
    except (tarfile.TarError, EOFError) as error:
        raise InputError(f"{file} is not a backup, or is cut: {error}") from None
    for name, digest in content.sha256.items():
        if not (folder / name).exists() or _sha256(folder / name) != digest:
            raise InputError(f"{file} is damaged: {name} is not what was backed up")
    return content


def _manifest(archive: tarfile.TarFile, file: Path) -> Content:
    first = archive.next()
    source = archive.extractfile(first) if first and first.name == MANIFEST and first.size < 1 << 28 else None
    try:
        content = msgspec.json.decode(source.read(), type=Content) if source else None
    except msgspec.DecodeError:
        content = None
    if content is None or LEDGER not in content.sha256:
        raise InputError(f"{file} is not a backup: it does not begin with {MANIFEST}")
    if content.format != FORMAT:
        raise InputError(f"{file} is a backup of format {content.format}, this callmeter reads {FORMAT}")
    return content


def _is_known(name: str) -> bool:
    return name in (LEDGER, STATE, *OTHERS) or _SEGMENT.fullmatch(name) is not None


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    source = archive.extractfile(member)
    assert source is not None
    with source, target.open("wb") as out:
        target.chmod(0o600 if target.name in ("secret", STATE) else 0o644)
        shutil.copyfileobj(source, out, _PIECE)


def _revision(ledger: Path) -> str:
    engine = bare_engine(f"sqlite:///{ledger}", read_only=True)
    try:
        return migrate.revision(engine) or ""
    finally:
        engine.dispose()


def _refuse_newer(ledger: Path, file: Path) -> None:
    if (found := _revision(ledger)) not in migrate.revisions():
        raise LedgerError(
            f"{file} holds a ledger of revision {found!r}, newer than this callmeter: install the newer one"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _folder_beside(file: Path) -> Iterator[Path]:
    """A private folder on the same disk, gone at the end."""
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=".callmeter-", dir=file.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
