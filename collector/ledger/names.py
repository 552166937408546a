"""Names as small numbers: every text that repeats is stored once, in `names`."""

from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from collector.ledger.schema import names

FIRST_ID = 10  # smaller numbers are grains of health cells, which share a column with zones
MAX_CACHED = 200_000
T = TypeVar("T")
_LOOKUP = 10_000  # names in one SELECT


class Names:
    """Ids of names, kept in memory between transactions; what a rolled-back transaction added is forgotten."""

    def __init__(self) -> None:
        self._ids: dict[str, dict[str, int]] = {}
        self._labels: dict[tuple[str, str], str] = {}
        self._added: list[tuple[str, str]] = []

    def ids(self, kind: str) -> Mapping[str, int]:
        """The known ids of a kind, by name."""
        return self._ids.setdefault(kind, {})

    def intern(self, connection: Connection, kind: str, wanted: Iterable[str]) -> Mapping[str, int]:
        """The ids of a kind, by name, with those of the wanted names among them; new names are stored."""
        known = self._ids.setdefault(kind, {})
        missing = sorted(set(wanted).difference(known))
        if missing:
            self._remember(kind, _stored(connection, kind, missing))
            new = [name for name in missing if name not in known]
            if new:
                self._remember(kind, _added(connection, kind, new))
        return known

    def label(self, connection: Connection, kind: str, labels: Mapping[str, str]) -> None:
        """What a screen shows for names that are interned; the latest counts."""
        changed = {name: label for name, label in labels.items() if self._labels.get((kind, name)) != label}
        if changed:
            connection.exec_driver_sql(
                "UPDATE names SET label = ? WHERE kind = ? AND name = ? AND label IS NOT ?",
                [(label, kind, name, label) for name, label in changed.items()],
            )
            self._labels.update({(kind, name): label for name, label in changed.items()})

    def committed(self) -> None:
        """The transaction holds. The memory is emptied when it has grown large."""
        self._added.clear()
        if sum(map(len, self._ids.values())) > MAX_CACHED:
            self._forget_all()

    def rolled_back(self) -> None:
        """The transaction is gone, and its new names with it."""
        for kind, name in self._added:
            self._ids[kind].pop(name, None)
        self._added.clear()
        self._labels.clear()

    def _remember(self, kind: str, ids: Mapping[str, int]) -> None:
        self._ids[kind].update(ids)
        self._added += [(kind, name) for name in ids]

    def _forget_all(self) -> None:
        for known in self._ids.values():
            known.clear()
        self._labels.clear()


def zones(connection: Connection) -> dict[str, int]:
    """The declared zones and their ids."""
    found = connection.execute(sa.select(names.c.name, names.c.id).where(names.c.kind == "zone"))
    return {row.name: row.id for row in found}


def name_of(connection: Connection, name_id: int) -> str:
    """The name of an id, or the id in brackets where there is none."""
    found = connection.execute(sa.select(names.c.name).where(names.c.id == name_id)).scalar()
    return str(found or f"({name_id})")


def by_id(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """The names of ids."""
    found: dict[int, str] = {}
    for some in _pieces(sorted(ids)):
        rows = connection.execute(sa.select(names.c.id, names.c.name).where(names.c.id.in_(some)))
        found.update({row.id: row.name for row in rows})
    return found


def _stored(connection: Connection, kind: str, wanted: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in _pieces(wanted):
        query = sa.select(names.c.name, names.c.id).where(names.c.kind == kind, names.c.name.in_(some))
        found.update({row.name: row.id for row in connection.execute(query)})
    return found


def _added(connection: Connection, kind: str, new: list[str]) -> dict[str, int]:
    largest = connection.execute(sa.select(sa.func.max(names.c.id))).scalar() or 0
    ids = {name: at for at, name in enumerate(new, start=max(largest + 1, FIRST_ID))}
    connection.execute(sa.insert(names), [{"id": at, "kind": kind, "name": name} for name, at in ids.items()])
    return ids


def _pieces(some: list[T]) -> Iterable[list[T]]:
    return (some[at : at + _LOOKUP] for at in range(0, len(some), _LOOKUP))
