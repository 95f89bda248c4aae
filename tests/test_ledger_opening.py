"""Can the ledger be opened? If not, a plain sentence says why, without the password."""

import os
import shutil
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, inspect, make_url

from flow_assets.errors import BusyError, FlowError, PermanentError, RetryableError
from flow_assets.ledger import database, migrations
from flow_assets.ledger.store import Failure, Ledger
from flow_assets.ledger.tables import metadata
from flow_assets.plan.lateness import Late
from tests.deliveries import CADENCE, NOW, START, interval, manifest, record
from tests.servers.postgres import PostgresServer

PASSWORD = "correct-horse"


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def test_the_folder_is_made(tmp_path: Path) -> None:
    Ledger(sqlite_url(tmp_path / "a" / "b")).close()
    assert (tmp_path / "a" / "b" / "ledger.db").is_file()


def test_a_path_is_meant_from_the_folder_where_the_ledger_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Ledger("sqlite:///state/ledger.db") as ledger:
        monkeypatch.chdir("/")
        ledger.close()
        record(ledger, 0)
    assert (tmp_path / "state" / "ledger.db").is_file()


def test_every_table_is_made_on_both_databases(ledger_url: str) -> None:
    Ledger(ledger_url).close()
    assert set(inspect(create_engine(ledger_url)).get_table_names()) == set(metadata.tables)


def test_readers_and_a_writer_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.1)
    with Ledger(sqlite_url(tmp_path)) as ledger, closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM deliveries").fetchall()
        record(ledger, 0)
        other.execute("ROLLBACK")
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM deliveries")
        assert ledger.delivered("shop") == {interval(0).start}


def test_a_ledger_that_another_process_keeps_writing_is_busy(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.1)
    with Ledger(ledger_url) as ledger, Ledger(ledger_url) as other, other._database.writing("flows/shop"):
        with pytest.raises(BusyError, match=r"the ledger .*: another process has been writing"):
            record(ledger, 0)
        assert ledger.delivered("shop") == set()


def test_many_threads_open_a_new_ledger_at_once(ledger_url: str) -> None:
    def open_one(number: int) -> None:
        with Ledger(ledger_url) as ledger:
            record(ledger, number)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(open_one, range(8)))
    with Ledger(ledger_url) as ledger:
        assert ledger.contiguous_until("shop", START, CADENCE) == interval(7).end


def test_a_failed_write_leaves_nothing(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger:
        with pytest.raises(PermanentError):
            record(ledger, 0, files=manifest(0).files * 2)  # the same path twice
        assert ledger.delivery("shop", interval(0)) is None
        assert ledger.contiguous_until("shop", START, CADENCE) is None


def test_a_place_that_cannot_be_made_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(PermanentError, match=r"the ledger .*file/state/ledger\.db: .* give a place that can be written"):
        Ledger(sqlite_url(tmp_path / "file" / "state"))


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder of an ordinary user's, as that user: root may write anywhere."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    try:
        if is_root:
            shutil.chown(folder, 65534)
            os.seteuid(65534)
        yield folder
    finally:
        if is_root:
            os.seteuid(0)
        shutil.rmtree(folder)


def test_a_read_only_folder_is_said_plainly() -> None:
    with as_nobody() as folder:
        folder.chmod(0o555)
        with pytest.raises(PermanentError, match=r"ledger\.db: .*Permission denied.* give a place that can be written"):
            Ledger(sqlite_url(folder))
        folder.chmod(0o755)


def test_a_read_only_file_is_said_plainly() -> None:
    with as_nobody() as folder:
        Ledger(sqlite_url(folder)).close()
        (folder / "ledger.db").chmod(0o444)
        expected = r"ledger\.db: .*readonly database.* make the file and its folder writable"
        with Ledger(sqlite_url(folder)) as ledger, pytest.raises(PermanentError, match=expected):
            record(ledger, 0)


def test_a_file_that_is_no_database_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("hello " * 1000)
    with pytest.raises(PermanentError, match=r"ledger\.db: file is not a database"):
        Ledger(sqlite_url(tmp_path))


def test_a_database_with_other_tables_of_these_names_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        other.execute("CREATE TABLE files (mine)")
    with pytest.raises(PermanentError, match="table files already exists"):
        Ledger(sqlite_url(tmp_path))
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [("files",)]


def test_an_older_ledger_is_brought_up_to_date_and_a_later_one_refused(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(ledger_url) as first:
        record(first, 0)
    now = migrations.newest()
    with monkeypatch.context() as later:
        to_next, to_last = ("CREATE TABLE notes (note TEXT)",), ("INSERT INTO notes VALUES ('two')", "DELETE FROM failures")
        later.setattr(migrations, "UPGRADES", (*migrations.UPGRADES, to_next, to_last))
        for _ in range(2):  # the second time there is nothing to do
            with Ledger(ledger_url) as upgraded:
                assert upgraded.delivered("shop") == {interval(0).start}
        engine = create_engine(ledger_url)
        with engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT note FROM notes").scalars().all() == ["two"]
            assert connection.exec_driver_sql("SELECT version FROM schema_version").scalars().all() == [now + 2]
        engine.dispose()
    with pytest.raises(PermanentError, match=f"of version {now + 2}, made by a later flow_assets; this one knows {now} — upgrade"):
        Ledger(ledger_url)


def test_every_version_is_brought_up_to_the_tables_of_a_new_ledger(ledger_url: str) -> None:
    engine = create_engine(ledger_url)
    Ledger(ledger_url).close()
    made = {name: sorted(columns) for name, columns in columns_of(engine).items()}
    with engine.begin() as connection:  # back to version 1
        for table in ("lateness", "erasures", "observations", "alerts", "names"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        for column in ("first_at", "destination", "circumstances"):
            connection.exec_driver_sql(f"ALTER TABLE failures DROP COLUMN {column}")
        connection.exec_driver_sql("UPDATE schema_version SET version = 1")
    Ledger(ledger_url).close()
    assert {name: sorted(columns) for name, columns in columns_of(engine).items()} == made
    engine.dispose()


def columns_of(engine: Engine) -> dict[str, list[tuple[str, str, bool]]]:
    """The columns of every table: name, type, whether null."""
    found = inspect(engine)
    return {name: [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)] for name in found.get_table_names()}


def test_what_an_older_version_recorded_has_no_lateness_and_goes_on_counting(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger:
        record(ledger, 0, lateness=None)
        assert ledger.lateness_all(["shop"]) == {"shop": ()}
        record(ledger, 1)
        assert ledger.lateness_all(["shop"]) == {"shop": (Late(0, 1), Late(75, 1))}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        f"mysql://me:{PASSWORD}@127.0.0.1/db",
        f"postgresql://me:{PASSWORD}@127.0.0.1:port/db",
        f"postgresql://me:x@{PASSWORD}@127.0.0.1/db",
        f"postgresql+nothing://me:{PASSWORD}@127.0.0.1/db",
    ],
)
def test_a_url_that_means_no_ledger_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(PermanentError, match="give sqlite:///<file> or postgresql://") as refused:
        Ledger(url)
    assert PASSWORD not in everything_said(refused.value)


def test_psycopg2_is_asked_for_only_by_a_postgres_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    Ledger(sqlite_url(tmp_path)).close()
    with pytest.raises(PermanentError, match=r"needs the package psycopg2 — install flow_assets\[postgres\]"):
        Ledger(f"postgresql://me:{PASSWORD}@127.0.0.1/db")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_the_usual_names_of_postgres_are_understood_and_the_password_is_not_shown(postgres_url: str, scheme: str) -> None:
    url = make_url(postgres_url)
    with Ledger(f"{url.set(drivername=scheme).render_as_string(hide_password=False)}?application_name={PASSWORD}") as ledger:
        record(ledger, 0)
        assert repr(ledger) == f"<the ledger postgresql://ledger@127.0.0.1:{url.port}/{url.database}>"


def test_a_server_that_does_not_answer_may_be_tried_again(postgres_url: str) -> None:
    with pytest.raises(RetryableError, match=r"postgresql://ledger@127\.0\.0\.1:1/.*refused.* — check that the server is up") as refused:
        Ledger(make_url(postgres_url).set(port=1, password=PASSWORD).render_as_string(hide_password=False))
    assert PASSWORD not in everything_said(refused.value)


def test_wrong_credentials_are_permanent(postgres_url: str) -> None:
    with pytest.raises(PermanentError, match=r"password authentication failed .* — correct the ledger's URL") as refused:
        Ledger(make_url(postgres_url).set(password=PASSWORD).render_as_string(hide_password=False))
    assert PASSWORD not in everything_said(refused.value)


def test_a_database_that_is_not_there_is_permanent(postgres_url: str) -> None:
    with pytest.raises(PermanentError, match='database "nowhere" does not exist'):
        Ledger(make_url(postgres_url).set(database="nowhere").render_as_string(hide_password=False))


def test_a_user_who_may_only_look_gets_a_permanent_error(postgres_url: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute("DROP ROLE IF EXISTS looker")
    postgres_server.execute("CREATE ROLE looker LOGIN PASSWORD 'look'")
    with pytest.raises(PermanentError, match="permission denied"):
        Ledger(make_url(postgres_url).set(username="looker", password="look").render_as_string(hide_password=False))


def test_a_ledger_goes_on_after_the_server_cut_its_connections(postgres_url: str, postgres_server: PostgresServer) -> None:
    with Ledger(postgres_url) as ledger:
        record(ledger, 0)
        cut_connections(postgres_server)
        record(ledger, 1)
        assert ledger.contiguous_until("shop", START, CADENCE) == interval(1).end


def test_a_claim_whose_connection_was_cut_ends_quietly(postgres_url: str, postgres_server: PostgresServer) -> None:
    with Ledger(postgres_url) as ledger:
        with ledger.claim("shop", "me"):
            cut_connections(postgres_server)
            record(ledger, 0)
        with ledger.claim("shop", "me"):
            assert ledger.failures() == []


def test_a_statement_that_the_server_gave_up_may_be_tried_again(postgres_url: str) -> None:
    with Ledger(f"{postgres_url}?options=-cstatement_timeout%3D2000") as ledger:
        with pytest.raises(RetryableError, match="statement timeout"), ledger._database.reading() as connection:
            connection.exec_driver_sql("SELECT pg_sleep(10)")
        assert ledger.failures() == []


def test_a_connection_cut_in_a_transaction_may_be_tried_again(postgres_url: str, postgres_server: PostgresServer) -> None:
    with Ledger(postgres_url) as ledger:
        writing = ledger._database.writing("shop")
        with pytest.raises(RetryableError, match=r"connection .* try again later"), writing as connection:  # noqa: PT012
            cut_connections(postgres_server)
            connection.exec_driver_sql("SELECT 1")
        ledger.record_failure(Failure("shop", interval(0), 1, "cut", False, NOW))


def cut_connections(server: PostgresServer) -> None:
    server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'ledger_%'")


def everything_said(error: FlowError) -> str:
    """The error as it may come into a log: its text, its causes, and its place in the code."""
    return "".join(traceback.format_exception(error)) + repr(error)
