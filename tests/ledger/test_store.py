"""Opening: privacy of the files, versions, damage, and that the migrations lead to the declared schema."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from imeiflow.domain.ident import AccountName
from imeiflow.domain.item import OrderKind
from imeiflow.domain.notice import DeliveryState, Told
from imeiflow.domain.order import JobState, OrderState, Policy, ResultStatus
from imeiflow.domain.outcome import Ending, ErrorKind, Outcome
from imeiflow.errors import LedgerError
from imeiflow.ledger import charge, conclusion, intent
from imeiflow.ledger.cell import from_micros
from imeiflow.ledger.change import AttemptKind
from imeiflow.ledger.dialect import prepare_writer
from imeiflow.ledger.ledger import Ledger
from imeiflow.ledger.migrations import read_history
from imeiflow.ledger.schema import HEAD, REVISIONS, metadata
from imeiflow.ledger.store import _share
from tests.ledger.conftest import Clock
from tests.ledger.older import make_older
from tests.mould import cast_ledger


def read_schema(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND type IN ('table', 'index')"
        ).fetchall()
    connection.close()
    return {name: re.sub(r"\s+", " ", sql) for name, sql in rows if not name.startswith(("alembic", "sqlite_"))}


def test_the_migrations_lead_to_the_declared_schema(tmp_path: Path, clock: Clock):
    Ledger.open(tmp_path / "migrated.db", clock=clock).close()
    declared = create_engine(f"sqlite:///{tmp_path / 'declared.db'}")
    metadata.create_all(declared)
    declared.dispose()
    migrated = create_engine(f"sqlite:///{tmp_path / 'migrated.db'}")
    with migrated.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    migrated.dispose()
    found, wanted = read_schema(tmp_path / "migrated.db"), read_schema(tmp_path / "declared.db")
    assert found.keys() == wanted.keys()
    for name, sql in wanted.items():
        assert read_parts(found[name]) == read_parts(sql), name


def read_parts(sql: str) -> tuple[list[str], str]:
    """Split a statement into its columns and constraints, whatever their order, and its options."""
    body, _, options = sql.replace('"', "").partition("(")[2].rpartition(")")
    return sorted(part.strip() for part in re.split(r", (?=[A-Za-z_]+ )", body)), options.strip()


def test_the_known_revisions_are_those_of_the_migrations():
    history = read_history()
    assert tuple(script.revision for script in reversed(list(history.walk_revisions()))) == REVISIONS
    assert history.get_current_head() == HEAD


@pytest.mark.parametrize(
    ("table", "column", "enum"),
    [
        ("orders", "state", OrderState),
        ("orders", "status", ResultStatus),
        ("orders", "error_kind", ErrorKind),
        ("job", "state", JobState),
        ("job", "policy", Policy),
        ("attempt", "kind", AttemptKind),
        ("attempt", "ending", Ending),
        ("attempt", "error_kind", ErrorKind),
        ("attempt_order", "outcome", Outcome),
        ("notice", "event", Told),
        ("delivery", "state", DeliveryState),
    ],
)
def test_the_database_checks_exactly_the_values_of_the_domain(tmp_path: Path, clock: Clock, table, column, enum):
    Ledger.open(tmp_path / "ledger.db", clock=clock).close()
    sql = read_schema(tmp_path / "ledger.db")[table]
    (check,) = re.findall(rf"CHECK \({column} IS NULL([^)]*)\)", sql)
    assert set(re.findall(rf" OR {column} = '([\w.]+)'", check)) == {member.value for member in enum}


def test_directory_and_files_are_the_owners_alone_whatever_the_umask(tmp_path: Path, clock: Clock):
    before = os.umask(0)
    try:
        with Ledger.open(tmp_path / "new" / "home" / "ledger.db", clock=clock):
            home = tmp_path / "new" / "home"
            assert home.stat().st_mode & 0o777 == 0o700
            assert home.parent.stat().st_mode & 0o777 == 0o700
            modes = {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


def test_a_file_that_others_could_read_is_made_private(tmp_path: Path, clock: Clock):
    path = tmp_path / "ledger.db"
    Ledger.open(path, clock=clock).close()
    path.chmod(0o644)
    Ledger.open(path, clock=clock).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_of_tokens_of_an_older_version_the_log_knows_who_made_them(tmp_path: Path, clock: Clock):
    make_older(
        tmp_path / "ledger.db",
        "0013",
        """
        INSERT INTO users (id, name, password_hash, role, created_at, password_at)
            VALUES (1, 'mia', 'x', 'admin', 1, 1);
        INSERT INTO api_token (id, user_id, name, digest, hint, scopes, created_at)
            VALUES (1, 1, 'till', 'a', 'a', '["read"]', 700), (2, 1, 'shop', 'b', 'b', '["read"]', 800);
        INSERT INTO event (at, kind, actor, data) VALUES (700, 'token_created', 'otto', '{}'),
            (800, 'token_revoked', 'olga', '{}');
        """,
    )
    with Ledger.open(tmp_path / "ledger.db", clock=clock) as ledger:
        assert {one.name: one.created_by for one in ledger.list_api_tokens()} == {"till": "otto", "shop": None}


def test_price_lists_of_an_older_version_are_those_of_imei_services(tmp_path: Path, clock: Clock):
    make_older(
        tmp_path / "ledger.db",
        "0011",
        "INSERT INTO service_price (account, service, name, category, price, currency, delivery, note, is_listed,"
        " seen_at) VALUES ('shop', '1', 'Check', '', '0.08', 'USD', 'Instant', '', 1, 1000000);"
        "INSERT INTO price_list VALUES ('shop', 2000000), ('other', 3000000);",
    )
    with Ledger.open(tmp_path / "ledger.db", clock=clock) as ledger:
        shop = AccountName("shop")
        [service] = ledger.price_list(shop)
        assert (service.name, str(service.price)) == ("Check", "$0.08")
        assert ledger.prices_fetched_at(shop) == from_micros(2_000_000)
        assert ledger.prices_fetched_at(AccountName("other")) == from_micros(3_000_000)
        assert ledger.price_list(shop, OrderKind.FILE) == []
        assert ledger.prices_fetched_at(shop, OrderKind.FILE) is None


def test_a_ledger_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path, clock: Clock):
    path = tmp_path / "ledger.db"
    Ledger.open(path, clock=clock).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(LedgerError, match="newer imeiflow") as caught:
        Ledger.open(path, clock=clock)
    assert "Update imeiflow" in caught.value.remedy


def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path, clock: Clock):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"these are not the orders you are looking for" * 100)
    with pytest.raises(LedgerError, match="damaged") as caught:
        Ledger.open(path, clock=clock)
    assert "Restore" in caught.value.remedy


def test_a_database_of_another_program_is_refused(tmp_path: Path, clock: Clock):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE song (id)")
    connection.close()
    with pytest.raises(LedgerError, match="another program"):
        Ledger.open(path, clock=clock)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://host/db", "://"])
def test_what_is_no_ledger_file_is_refused(url: str, clock: Clock):
    with pytest.raises(LedgerError):
        Ledger.open(url, clock=clock)


def test_events_can_be_neither_changed_nor_deleted(ledger: Ledger):
    ledger.log_event("seen", data={"n": 1})
    for sql in ("UPDATE event SET kind = 'x'", "DELETE FROM event"):
        with pytest.raises(LedgerError, match="append-only"):
            ledger._write(lambda c, sql=sql: c.exec_driver_sql(sql))
    assert [(event.kind, event.data) for event in ledger.events()] == [("seen", {"n": 1})]


def test_readers_cannot_write(ledger: Ledger):
    with pytest.raises(LedgerError), ledger._read() as connection:
        connection.exec_driver_sql("DELETE FROM job")


def test_opening_a_ledger_that_is_up_to_date_does_not_import_alembic(tmp_path: Path, clock: Clock):
    Ledger.open(tmp_path / "ledger.db", clock=clock).close()
    code = (
        "import sys; from datetime import UTC, datetime; from imeiflow.ledger.ledger import Ledger; "
        "Ledger.open(sys.argv[1], clock=lambda: datetime.now(UTC)).close(); print('alembic' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "ledger.db"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


HOT = {
    name: statement
    for module in (charge, intent, conclusion)
    for name, statement in vars(module).items()
    if name.startswith(("_INSERT", "_CLAIM", "_END", "_MOVE", "_ADD"))
}


@pytest.mark.parametrize("name", sorted(HOT))
def test_the_hot_paths_statements_compile_for_postgresql(name: str):
    sql = str(HOT[name].statement.compile(dialect=postgresql.dialect()))
    assert re.search(r"\(VALUES \(%\(block\)s(::VARCHAR)?\)\) AS each", sql)
    assert "CAST(each.column1 AS BIGINT)" in sql


@pytest.mark.parametrize("is_largest", [False, True])
@pytest.mark.parametrize("name", sorted(set(HOT) - {"_INSERT_REPEATS"}))
def test_the_hot_paths_statements_look_rows_up_by_key(ledger: Ledger, name: str, is_largest: bool):
    with ledger._read() as connection:
        sql = HOT[name].compile(connection, HOT[name].largest if is_largest else 1)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (None,) * sql.count("?")).all()
    steps = [row[3] for row in plan]
    assert [step for step in steps if step.startswith("SCAN each")]
    assert not [
        step for step in steps if step.startswith("SCAN") and re.search(r"SCAN (orders|attempt|job|lane)$", step)
    ]


def test_the_database_errors_of_sqlalchemy_come_out_as_ours(ledger: Ledger):
    with pytest.raises(LedgerError) as caught, ledger._read() as connection:
        connection.exec_driver_sql("SELECT * FROM nowhere")
    assert isinstance(caught.value.__cause__, DBAPIError)


def test_a_new_file_that_another_program_is_about_to_fill_is_waited_for(tmp_path: Path):
    path = tmp_path / "ledger.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    has_asked = threading.Event()

    def let_go() -> None:
        assert has_asked.wait(30)
        other.execute("COMMIT")

    thread = threading.Thread(target=let_go)
    thread.start()
    mine = sqlite3.connect(path, isolation_level=None, factory=partial(Asking, has_asked=has_asked))
    prepare_writer(mine)
    thread.join()
    assert mine.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    mine.close()
    other.close()


class Asking(sqlite3.Connection):
    """A connection that tells when it was turned away."""

    def __init__(self, *arguments: Any, has_asked: threading.Event, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._has_asked = has_asked

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*arguments)
        except sqlite3.OperationalError:
            self._has_asked.set()
            raise


def test_what_was_compiled_for_one_ledger_serves_the_next(tmp_path: Path, clock: Clock):
    _, compiled = _share("sqlite")

    def ask(name: str) -> int:
        with Ledger.open(cast_ledger(tmp_path / name), clock=clock) as ledger:
            ledger.list_jobs(JobState.RUNNING, AccountName("gsm-fusion"))
        return len(compiled)

    compiled.clear()
    assert ask("one.db") == ask("another.db") > 0
