"""The ledger before there were adjustments is upgraded with all that is in it."""

from pathlib import Path

import sqlalchemy as sa

from collector.ledger import cells, engines, migrate, schema
from collector.ledger.check import check
from collector.ledger.engines import open_ledger
from tests.ledger.contents import contents
from tests.stored import BOOK, store
from tests.tables import calls

TABLE = """
    2026-10-01T12:00 openai m   1000/500 ok images_in=2 app=shop user=ann origin_id=r1
    2026-10-01T12:00 openai m   1000/500 ok images_in=2 origin_id=r1 source=otlp
    2026-10-01T23:30 openai new 100/10   ok app=shop user=bob
    2026-10-02T12:00 openai m   1/1      ok cost=5 original_cost=4 attempts=dear:provider_fault,openai:ok
"""


def test_a_ledger_of_every_revision_with_calls_in_it_comes_up_to_date(tmp_path: Path) -> None:
    """Its rows are those of a new ledger, its cells are remade from them, and its copy is kept."""
    new = store(tmp_path / "new", calls(TABLE), book=BOOK)
    expected = contents(new)
    for revision in migrate.revisions():
        path = tmp_path / revision / "callmeter.db"
        path.parent.mkdir()
        url = f"sqlite:///{path}"
        old = engines.bare_engine(url)
        migrate.upgrade_to(old, revision)
        _fill(old, new)
        old.dispose()
        migrate.migrate(url)
        upgraded = open_ledger(url)
        assert contents(upgraded) == expected
        assert check(upgraded) == []
        cells.rebuild(upgraded)
        assert contents(upgraded) == expected
        assert len(list(path.parent.glob("*.db"))) == (1 if revision == migrate.head() else 2)
        upgraded.dispose()


def test_the_migrations_make_the_tables_that_the_code_knows(tmp_path: Path) -> None:
    engine = open_ledger(f"sqlite:///{tmp_path / 'callmeter.db'}", create=True)
    found = sa.inspect(engine)
    for table in schema.metadata.sorted_tables:
        columns = [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(table.name)]
        assert columns == [(c.name, str(c.type), bool(c.nullable)) for c in table.columns], table.name
        indexes = {index["name"]: index["column_names"] for index in found.get_indexes(table.name)}
        assert indexes == {index.name: [c.name for c in index.columns] for index in table.indexes}, table.name


def _fill(old: sa.Engine, new: sa.Engine) -> None:
    """Copies what both know from a new ledger into an old one."""
    tables = set(sa.inspect(old).get_table_names()) & set(schema.metadata.tables)
    with new.connect() as source, old.begin() as target:
        for name in sorted(tables):
            columns = [column["name"] for column in sa.inspect(target).get_columns(name)]
            quoted = ", ".join(f'"{column}"' for column in columns)
            rows = [tuple(row) for row in source.exec_driver_sql(f"SELECT {quoted} FROM {name}")]
            if rows:
                marks = ", ".join("?" * len(columns))
                target.exec_driver_sql(f"INSERT OR REPLACE INTO {name} ({quoted}) VALUES ({marks})", rows)
