"""What the ledger says of itself."""

from pathlib import Path

from sqlalchemy import Engine, Select, Text, literal_column, select, table

from collector.ledger.questions.ask import Question
from collector.ledger.schema import meta


def mark(key: str) -> Select[tuple[str]]:
    """The value of a mark such as "demo", one row at most: column value."""
    return select(meta.c.value).where(meta.c.key == key)


def revision() -> Question:
    """The revision of the ledger's tables, one row: column version_num."""
    return select(literal_column("version_num", Text)).select_from(table("alembic_version"))


def file_id(engine: Engine) -> tuple[int, int] | None:
    """What tells the ledger's file from another one under the same name; None where there is none."""
    try:
        found = Path(engine.url.database or "").stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def ledger_bytes(engine: Engine) -> int | None:
    """What the ledger takes on the disk, its log included; None where it is no file."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name:
        return None
    return sum(path.stat().st_size for path in (Path(name), Path(f"{name}-wal")) if path.exists())
