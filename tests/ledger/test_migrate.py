"""Migrations: from empty, from every earlier revision with data in it, after a copy, and never backwards."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from collector.core.errors import LedgerError
from collector.core.money import format_usd
from collector.core.outcomes import Outcome
from collector.ledger import migrate, schema
from collector.ledger.engines import bare_engine, open_ledger
from tests.ledger.contents import contents
from tests.stored import store
from tests.tables import calls

REVISIONS = migrate.revisions()
REPLACED = {"user_totals"}  # tables of cells in whose place a later revision made another one
VIEWS = {
    "v_calls": """
        id started_at source origin_id operation model served_model provider app key user streamed outcome http_status
        error_type finish_reason attempts latency_ms first_token_ms input_tokens cache_read_tokens
        cache_write_5m_tokens cache_write_1h_tokens output_tokens reasoning_tokens audio_in_tokens audio_out_tokens
        image_in_tokens image_out_tokens images_in images_out usage_quality cost_picousd cost_usd
        original_cost_picousd unpriced_reason reported_cost_picousd price_id""",
    "v_attempts": """
        call_id n provider model started_at outcome http_status error_type latency_ms first_token_ms probe""",
}


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'callmeter.db'}"


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("callmeter-*.db"))


def ledger_at(folder: Path, revision: str, *, filled: bool = True) -> Engine:
    """A ledger as it was at a revision, with three rows in each of its tables."""
    engine = bare_engine(url_of(folder))
    migrate.upgrade_to(engine, revision)
    if filled:
        with engine.begin() as connection:
            for table in tables_of(engine):
                connection.execute(table.insert(), [row_of(table, n) for n in range(1, 4)])
    return engine


def tables_of(engine: Engine) -> list[sa.Table]:
    found = sa.MetaData()
    found.reflect(engine)
    return [table for name, table in found.tables.items() if name != "alembic_version"]


def row_of(table: sa.Table, n: int) -> dict[str, Any]:
    """Values by the type of the column, different in every row and column."""
    return {column.name: value_of(column, 10 * n + at % 7) for at, column in enumerate(table.columns)}


def value_of(column: sa.Column[Any], n: int) -> Any:
    if isinstance(column.type, sa.LargeBinary):
        return n.to_bytes(16, "big")
    if isinstance(column.type, sa.Text):
        return str(n)
    return min(n, 3) if column.name in ("outcome", "quality") else n


def totals(engine: Engine) -> dict[str, int]:
    """Rows of every table, and the sum of every column of whole numbers."""
    found: dict[str, int] = {}
    with engine.connect() as connection:
        for table in tables_of(engine):
            found[table.name] = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for column in table.columns:
                if isinstance(column.type, sa.Integer):
                    total = connection.execute(sa.select(sa.func.sum(column))).scalar()
                    found[f"{table.name}.{column.name}"] = total or 0
        found["spend"] = connection.exec_driver_sql("SELECT sum(cost_picousd) FROM v_calls").scalar() or 0
    return found


def test_from_empty_to_the_newest(tmp_path: Path) -> None:
    engine = open_ledger(url_of(tmp_path), create=True)
    assert migrate.revision(engine) == migrate.head() == REVISIONS[-1]
    assert copies(tmp_path) == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_from_every_revision_with_data_in_it_every_total_stays(revision: str, tmp_path: Path) -> None:
    old = ledger_at(tmp_path, revision)
    before = totals(old)
    old.dispose()
    migrate.migrate(url_of(tmp_path))
    after = totals(open_ledger(url_of(tmp_path)))
    stayed = {name: total for name, total in before.items() if name.split(".")[0] not in REPLACED}
    assert {name: after[name] for name in stayed} == stayed
    assert before["calls"] == 3
    assert before["calls.cost"] == before["spend"] > 0


@pytest.mark.parametrize(
    ("table", "revision"), [("day_totals", "0010"), ("price_days", "0012"), ("user_spans", "0015")]
)
def test_cells_that_a_migration_makes_are_those_that_ingest_keeps(table: str, revision: str, tmp_path: Path) -> None:
    told = """
        12:00 openai m      1000/200 ok app=shop user=ann
        13:00 openai nobody 1/1      ok
        23:30 dear   m      1/1      ok app=blog
        2026-10-04T12:00 openai m 1/1 ok user=ann cost=9999999
        2026-10-05T12:00 openai m 1/1 ok user=ann cost=3
        2026-10-06T12:00 openai m 1/1 ok user=bob cost=-7
    """
    engine = store(tmp_path, calls(told))
    kept = contents(engine)[table]
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {table}")
        before = REVISIONS[REVISIONS.index(revision) - 1]
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{before}'")
    migrate.upgrade_to(engine, revision)
    assert contents(engine)[table] == kept != []


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_what_would_be_lost_is_copied_first(revision: str, tmp_path: Path) -> None:
    old = ledger_at(tmp_path, revision)
    before = totals(old)
    old.dispose()
    migrate.migrate(url_of(tmp_path), now_us=1_790_856_000_000_000)
    (copy,) = copies(tmp_path)
    assert copy.name == f"callmeter-{revision}-20261001T120000.db"
    assert totals(bare_engine(f"sqlite:///{copy}")) == before


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_old_ledger_without_data_is_upgraded_without_a_copy(revision: str, tmp_path: Path) -> None:
    ledger_at(tmp_path, revision, filled=False).dispose()
    migrate.migrate(url_of(tmp_path))
    assert copies(tmp_path) == []


@pytest.mark.skipif(len(REVISIONS) < 2, reason="there is no older revision yet")
def test_the_last_copies_are_kept_and_older_ones_go(tmp_path: Path) -> None:
    backup = tmp_path / "callmeter-of-2026-10-01.db"
    backup.write_text("the user's own")
    for second in range(migrate.COPIES_KEPT + 2):
        (tmp_path / "callmeter.db").unlink(missing_ok=True)
        ledger_at(tmp_path, REVISIONS[0]).dispose()
        migrate.migrate(url_of(tmp_path), now_us=1_790_856_000_000_000 + second * 1_000_000)
    assert [copy.name[-5:-3] for copy in copies(tmp_path) if copy != backup] == ["02", "03", "04"]
    assert backup.exists()


@pytest.mark.skipif(len(REVISIONS) < 2, reason="there is no older revision yet")
def test_without_a_copy_there_is_no_upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = ledger_at(tmp_path, REVISIONS[0])

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(LedgerError, match=r"no copy of .* could be made before its upgrade.*No space left"):
        migrate.migrate(url_of(tmp_path))
    assert migrate.revision(engine) == REVISIONS[0]
    assert [path.suffix for path in tmp_path.iterdir() if "-0001-" in path.name] == []


def test_a_current_ledger_is_left_alone(tmp_path: Path) -> None:
    store(tmp_path, calls("12:00 openai m 1000/200 ok")).dispose()
    before = (tmp_path / "callmeter.db").read_bytes()
    migrate.migrate(url_of(tmp_path))
    assert (tmp_path / "callmeter.db").read_bytes() == before
    assert copies(tmp_path) == []


@pytest.mark.parametrize("open_it", [open_ledger, lambda url: open_ledger(url, create=True), migrate.migrate])
def test_a_ledger_newer_than_the_code_is_refused_with_a_sentence(open_it: Any, tmp_path: Path) -> None:
    engine = open_ledger(url_of(tmp_path), create=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(LedgerError, match="at revision 9999, newer than this callmeter"):
        open_it(url_of(tmp_path))


def test_reading_never_makes_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"there is no ledger at .*callmeter\.db: run `callmeter up`"):
        open_ledger(url_of(tmp_path), read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_ledger_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "callmeter.db"
    path.write_text("these are not the books you are looking for\n" * 100)
    before = path.read_bytes()
    for create in (False, True):
        with pytest.raises(LedgerError, match="cannot be read as a ledger"):
            open_ledger(url_of(tmp_path), create=create)
    assert path.read_bytes() == before


def test_read_only_refuses_every_write(tmp_path: Path) -> None:
    open_ledger(url_of(tmp_path), create=True).dispose()
    engine = open_ledger(url_of(tmp_path), read_only=True)
    with pytest.raises(sa.exc.OperationalError, match="readonly"), engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO meta VALUES ('a', 'b')")


def test_the_migrations_make_what_the_code_expects(tmp_path: Path) -> None:
    engine = open_ledger(url_of(tmp_path), create=True)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_have_the_contracts_columns_in_its_order(view: str, tmp_path: Path) -> None:
    engine = open_ledger(url_of(tmp_path), create=True)
    with engine.connect() as connection:
        assert list(connection.exec_driver_sql(f"SELECT * FROM {view}").keys()) == VIEWS[view].split()


def test_a_call_reads_in_the_view_as_it_was_told(tmp_path: Path) -> None:
    engine = store(
        tmp_path,
        calls(
            "12:00:00.000001 openai m 1000/500 ok 840ms images_in=2 app=shop streamed=1 http_status=200 quality=partial"
        ),
    )
    with engine.connect() as connection:
        row = dict(connection.exec_driver_sql("SELECT * FROM v_calls").mappings().one())
        tried = dict(connection.exec_driver_sql("SELECT * FROM v_attempts").mappings().one())
    assert row["started_at"] == "2026-10-01T12:00:00.000001Z"
    assert (row["cost_picousd"], row["cost_usd"], row["original_cost_picousd"]) == (
        53_900_000_000,
        "0.0539",
        53_900_000_000,
    )
    assert (row["outcome"], row["usage_quality"], row["streamed"], row["attempts"]) == ("ok", "partial", 1, 1)
    assert (row["cache_read_tokens"], row["user"], row["served_model"]) == (None, None, None)
    assert tried == {
        "call_id": row["id"], "n": 1, "provider": "openai", "model": "m", "started_at": row["started_at"],
        "outcome": "ok", "http_status": 200, "error_type": None, "latency_ms": 840, "first_token_ms": None, "probe": 0,
    }  # fmt: skip


def test_every_outcome_has_its_word_in_the_view(tmp_path: Path) -> None:
    engine = store(tmp_path, calls("\n".join(f"12:00 openai m 1/1 {outcome}" for outcome in Outcome)))
    with engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT outcome FROM v_calls").scalars().all()
    assert sorted(found) == sorted(Outcome)


@given(st.lists(st.one_of(st.none(), st.integers(-(10**18), 10**18)), min_size=1, max_size=50, unique=True))
@settings(max_examples=20, deadline=None)
def test_cost_is_exact_decimal_text(tmp_path_factory: pytest.TempPathFactory, costs: list[int | None]) -> None:
    engine = open_ledger(url_of(tmp_path_factory.mktemp("costs")), create=True)
    with engine.begin() as connection:
        table = schema.calls
        given_values = [row_of(table, 1) | {"id": n.to_bytes(16, "big"), "cost": cost} for n, cost in enumerate(costs)]
        connection.execute(table.insert(), given_values)
        found = connection.exec_driver_sql("SELECT cost_usd FROM v_calls ORDER BY id").scalars().all()
    assert found == [None if cost is None else format_usd(cost) for cost in costs]
    engine.dispose()
