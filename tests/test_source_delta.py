"""What does a Delta table add to the contract of sources: commits that add nothing, take rows away, or are no longer there?"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake

from flow_assets.errors import PermanentError, RetryableError
from flow_assets.sources.places import Place
from flow_assets.testing.event_table import BEGIN, MINUTE, SCHEMA, Make, between, events, locked, numbers_between, query, read
from flow_assets.testing.source_contract import SourceContract
from tests.event_tables import DeltaEventTable
from tests.servers.process import free_port
from tests.servers.s3 import S3Server

HOUR = timedelta(hours=1)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Delta tables below a folder with characters that mean something elsewhere."""
    made = iter(range(1000))
    return lambda: DeltaEventTable(str(tmp_path / "the #1 lake" / f"table {next(made)}"))


@pytest.fixture
def table(make: Make) -> DeltaEventTable:
    """Two inserts at minutes 1 and 2: numbers 0 to 4, and 5 to 9."""
    table = make()
    table.create(SCHEMA)
    table.append(events(range(5)), BEGIN + 1 * MINUTE)
    table.append(events(range(5, 10)), BEGIN + 2 * MINUTE)
    assert isinstance(table, DeltaEventTable)
    return table


class TestDeltaTable(SourceContract):
    @pytest.fixture
    def make(self, make: Make) -> Make:
        return make


class TestDeltaTableOnS3(SourceContract):
    @pytest.fixture
    def make(self, moto_server: S3Server) -> Make:
        bucket = moto_server.bucket()
        made = iter(range(1000))
        return lambda: DeltaEventTable(f"s3://{bucket}/lake/table-{next(made)}", server=moto_server)


# -- commits that are no inserts ----------------------------------------------------------------------------------------------


def test_compaction_delivers_nothing_and_hides_nothing(table: DeltaEventTable, tmp_path: Path) -> None:
    table.delta.optimize.compact()
    table.stamp(3, BEGIN + 3 * MINUTE)
    source = table.open()
    assert numbers_between(source, tmp_path, 2, 4) == []
    assert numbers_between(source, tmp_path, 0, 4) == list(range(10))
    assert source.freshest().inserted == BEGIN + 2 * MINUTE


def test_a_vacuumed_file_is_told_before_any_row_is_read(table: DeltaEventTable) -> None:
    table.delta.optimize.compact()
    table.delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(PermanentError, match=r"part-.*parquet, a data file of version 1, .* vacuum"), between(table.open(), 0, 2):
        pass


def test_what_vacuum_left_is_still_read(table: DeltaEventTable, tmp_path: Path) -> None:
    table.delta.optimize.compact()
    table.stamp(3, BEGIN + 3 * MINUTE)
    table.delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    table.append(events([10]), BEGIN + 5 * MINUTE)
    source = table.open()
    assert numbers_between(source, tmp_path, 4, 5) == [10]
    with source.happened_between(BEGIN, BEGIN + HOUR, source.cursor_at(BEGIN + 5 * MINUTE)) as scan:
        assert sorted(row["n"] for row in read(scan, tmp_path)) == list(range(11))


def delete(table: DeltaEventTable) -> None:
    table.delta.delete("n = 3")


def update(table: DeltaEventTable) -> None:
    table.delta.update(predicate="n = 3", updates={"text": "'changed'"})


def overwrite(table: DeltaEventTable) -> None:
    write_deltalake(table.uri, events([3]), mode="overwrite")


def merge(table: DeltaEventTable) -> None:
    merger = table.delta.merge(events([3, 77]), "s.n = t.n", source_alias="s", target_alias="t")
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


REWRITES = (delete, update, overwrite, merge)


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_commit_that_changes_rows_is_refused(table: DeltaEventTable, tmp_path: Path, rewrite: Any) -> None:
    rewrite(table)
    table.stamp(3, BEGIN + 3 * MINUTE)
    source = table.open()
    with (
        pytest.raises(PermanentError, match=r"source events: version 3 \((DELETE|UPDATE|WRITE|MERGE), .*on_rewrite: skip"),
        between(source, 0, 3),
    ):
        pass
    assert numbers_between(source, tmp_path, 0, 2) == list(range(10))


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_commit_that_changes_rows_delivers_nothing_if_the_spec_says_so(table: DeltaEventTable, tmp_path: Path, rewrite: Any) -> None:
    rewrite(table)
    table.stamp(3, BEGIN + 3 * MINUTE)
    table.append(events([10]), BEGIN + 4 * MINUTE)
    assert numbers_between(table.open(on_rewrite="skip"), tmp_path, 0, 4) == [*range(10), 10]


def test_a_merge_that_only_inserts_is_an_insert(table: DeltaEventTable, tmp_path: Path) -> None:
    merger = table.delta.merge(events([3, 77]), "s.n = t.n", source_alias="s", target_alias="t")
    merger.when_not_matched_insert_all().execute()
    table.stamp(3, BEGIN + 3 * MINUTE)
    assert numbers_between(table.open(), tmp_path, 2, 3) == [77]


# -- the log ------------------------------------------------------------------------------------------------------------------


def clean_up(table: DeltaEventTable) -> None:
    """Take the log up to version 2 into a checkpoint, and remove the entries before."""
    table.delta.create_checkpoint()
    for version in range(2):
        table.entry_path(version).unlink()


def test_a_log_that_was_cleaned_up_is_told(table: DeltaEventTable) -> None:
    clean_up(table)
    told = r"version 1 is no longer in the Delta log .*delta.logRetentionDuration"
    with pytest.raises(PermanentError, match=told), table.open().inserted_between(0, 2):
        pass


def test_a_moment_before_what_is_left_of_the_log_is_told(table: DeltaEventTable, tmp_path: Path) -> None:
    clean_up(table)
    table.append(events([10]), BEGIN + 3 * MINUTE)
    source = table.open()
    with pytest.raises(PermanentError, match="no longer says what was committed by 2026-01-01T10:01:00"):
        source.cursor_at(BEGIN + MINUTE)
    assert source.cursor_at(BEGIN + 3 * MINUTE) == 3
    with source.inserted_between(2, 3) as scan:
        assert [row["n"] for row in read(scan, tmp_path)] == [10]
    with source.happened_between(BEGIN, BEGIN + HOUR, 3) as scan:
        assert sorted(row["n"] for row in read(scan, tmp_path)) == list(range(11))


def test_a_commit_with_an_older_timestamp_than_the_one_before_counts_from_its_own(table: DeltaEventTable, tmp_path: Path) -> None:
    table.append(events([10]), BEGIN + 30 * MINUTE)
    table.append(events([11]), BEGIN + 20 * MINUTE)
    table.append(events([12]), BEGIN + 40 * MINUTE)
    source = table.open()
    assert [source.cursor_at(BEGIN + minute * MINUTE) for minute in (10, 20, 30, 40)] == [2, 4, 4, 5]
    assert numbers_between(source, tmp_path, 10, 25) == [10, 11]
    assert numbers_between(source, tmp_path, 25, 40) == [12]


def test_the_timestamp_that_is_sure_to_rise_comes_first(table: DeltaEventTable) -> None:
    sure = int((BEGIN + 50 * MINUTE).timestamp() * 1000)
    table.rewrite(2, lambda action: {"commitInfo": {**action["commitInfo"], "inCommitTimestamp": sure}})
    assert table.open().cursor_at(BEGIN + 49 * MINUTE) == 1
    assert table.open().cursor_at(BEGIN + 50 * MINUTE) == 2


def test_a_commit_that_does_not_say_when_was_made_when_its_file_was_written(table: DeltaEventTable) -> None:
    table.rewrite(2, lambda action: {"commitInfo": {}})
    written = datetime.fromtimestamp(table.entry_path(2).stat().st_mtime, UTC)
    assert table.open().cursor_at(written - MINUTE) == 1
    assert table.open().cursor_at(written + MINUTE) == 2


def test_a_long_log_is_not_read_as_a_whole(table: DeltaEventTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in range(3, 3000):
        table.commit(moment=BEGIN + version * MINUTE, version=version)
    reads: list[str] = []
    whole = Place.read
    monkeypatch.setattr(Place, "read", lambda self, path: reads.append(path) or whole(self, path))
    assert table.open().cursor_at(BEGIN + 2990 * MINUTE) == 2990
    assert len(reads) < 40
    reads.clear()
    source = table.open()
    assert [source.cursor_at(BEGIN + minute * MINUTE) for minute in (1, 2, 1500, 2999)] == [1, 2, 1500, 2999]
    assert len(reads) < 200


def test_rows_are_the_same_while_others_write_and_compact(table: DeltaEventTable, tmp_path: Path) -> None:
    with between(table.open(), 0, 2) as scan, locked(scan, tmp_path) as engine:
        assert query(engine, scan, ["n"]).num_rows == 10
        table.append(events([10]), BEGIN + MINUTE)
        table.delta.optimize.compact()
        assert query(engine, scan, ["n"])["n"].to_pylist() == list(range(10))


# -- what may be wrong --------------------------------------------------------------------------------------------------------


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="source events: open the Delta table"):
        DeltaEventTable(str(tmp_path / "nowhere")).open().columns()
    (tmp_path / "folder").mkdir()
    with pytest.raises(PermanentError, match="source events: open the Delta table"):
        DeltaEventTable(str(tmp_path / "folder")).open().cursor_at(BEGIN)


def test_a_cursor_of_another_kind_of_source_is_told(table: DeltaEventTable) -> None:
    with pytest.raises(PermanentError, match="is a moment, not a version"):
        table.open().columns(BEGIN)


def test_a_table_that_was_made_anew_is_told(table: DeltaEventTable) -> None:
    """Its versions begin again, so what is delivered already lies in its future."""
    source = table.open()
    told = "at version 2, behind version 7"
    with pytest.raises(PermanentError, match=told), source.inserted_between(7, 7):
        pass
    with pytest.raises(PermanentError, match=told), source.happened_between(BEGIN, BEGIN + HOUR, 7):
        pass
    with pytest.raises(PermanentError, match=told):
        source.columns(7)


class TestS3:
    """What may go wrong between us and a bucket."""

    @pytest.fixture
    def table(self, moto_server: S3Server) -> DeltaEventTable:
        table = DeltaEventTable(f"s3://{moto_server.bucket()}/lake/events", server=moto_server)
        table.create(SCHEMA)
        table.append(events(range(5)), BEGIN + MINUTE)
        return table

    def test_the_engine_reads_the_scan_and_nothing_else_of_the_bucket(self, table: DeltaEventTable, tmp_path: Path) -> None:
        assert table.server
        bucket = table.uri.split("/")[2]
        table.server.client().put_object(Bucket=bucket, Key="lake/other.csv", Body=b"a\n1\n")
        with between(table.open(), 0, 1) as scan, locked(scan, tmp_path) as engine:
            assert query(engine, scan, ["n"]).num_rows == 5
            for path in (
                f"s3://{bucket}/lake/other.csv",
                f"s3://{bucket}/lake/events/../other.csv",
                f"{table.server.endpoint}/{bucket}/lake/other.csv",
            ):
                with pytest.raises(Exception, match="Cannot access"):
                    engine.execute(f"SELECT * FROM read_csv('{path}')").fetchall()

    def test_wrong_credentials_are_told_without_telling_them(self, table: DeltaEventTable) -> None:
        assert table.server
        wrong = S3Server(table.server.endpoint, table.server.key, "not-the-secret")
        with pytest.raises(PermanentError) as failure:
            DeltaEventTable(table.uri, server=wrong).open().columns()
        assert "check" in str(failure.value)
        assert "not-the-secret" not in str(failure.value)

    def test_a_bucket_that_is_not_there_is_told(self, table: DeltaEventTable) -> None:
        with pytest.raises(PermanentError, match="correct `uri`, or create the bucket"):
            DeltaEventTable("s3://no-such-bucket-here/events", server=table.server).open().columns()

    def test_a_store_that_does_not_answer_may_answer_later(self, table: DeltaEventTable) -> None:
        assert table.server
        silent = S3Server(f"http://127.0.0.1:{free_port()}", table.server.key, table.server.secret)
        with pytest.raises(RetryableError):
            DeltaEventTable(table.uri, server=silent).open().columns()

    def test_a_secret_that_is_not_set_is_told(self, table: DeltaEventTable) -> None:
        with pytest.raises(PermanentError, match="environment variable NOPE is not set"):
            table.open(s3={"access_key_id": {"env": "NOPE"}, "secret_access_key": {"env": "NOPE"}})
