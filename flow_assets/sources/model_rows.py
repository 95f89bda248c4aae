"""What changed in a model from one moment to the next? Each row as it is in the end, once, however often it changed meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb

from flow_assets.errors import RetryableError
from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.times import format_time
from flow_assets.sources.duckdb_file import Connect, DuckDBEvents, DuckDBScan
from flow_assets.sources.failures import reading
from flow_assets.sources.moments import sql_between, to_moment
from flow_assets.sources.positions import as_moment
from flow_assets.spec.source import CHANGED_AT, VERSION, DuckDBSource, ModelSource, versions_table
from flow_assets.stages.values import identifier, literal

_KIND = "TIMESTAMP WITH TIME ZONE"


class ModelRows(DuckDBEvents):
    """A model as an event table; its cursor is a moment, up to which the model must have been built."""

    def __init__(self, spec: ModelSource, file: Path, connect: Connect | None = None, **further: object) -> None:
        columns = spec.columns.model_dump() | {"inserted_at": CHANGED_AT}
        table = f"flows.{versions_table(spec.model)}"
        as_table = DuckDBSource.model_validate(
            {"name": spec.name, "type": "duckdb", "uri": spec.uri, "table": table, "columns": columns, "settle": "0s"}
        )
        super().__init__(as_table, file, connect, **further)  # type: ignore[arg-type]
        self._model = spec.model
        self._key = ", ".join(map(identifier, spec.key))
        self._versions = self._table

    def cursor_at(self, moment: datetime) -> datetime:
        """``moment``, once the model was built up to then.

        Raises:
            RetryableError: it was not.
        """
        with self._connected() as connection, reading(self.name, "read the model's manifest"):
            query = f"SELECT max(epoch_us(upto)) FROM flows.manifest WHERE model = {literal(self._model)}"
            [(upto,)] = connection.execute(query).fetchall()
        if upto is not None and to_moment(upto) >= moment:
            return moment
        so_far = "not built yet" if upto is None else f"built up to {format_time(to_moment(upto))}"
        raise RetryableError(
            f"source {self.name}: the model {self._model} is {so_far}, not up to {format_time(moment)} — it is tried again;"
            f" flows build {self._model} builds it at once"
        )

    @contextmanager
    def inserted_between(self, after: Cursor, upto: Cursor) -> Iterator[DuckDBScan]:
        with self._newest_versions(as_moment(self.name, after), upto) as scan:
            yield scan

    @contextmanager
    def happened_between(self, start: datetime, end: datetime, upto: Cursor) -> Iterator[DuckDBScan]:  # noqa: ARG002  # all rows will do
        with self._newest_versions(None, upto) as scan:
            yield scan

    @contextmanager
    def until(self, upto: Cursor, files: Sequence[str] | None = None) -> Iterator[DuckDBScan]:
        assert files is None, "there are none"
        with self._newest_versions(None, upto) as scan:
            yield scan

    @contextmanager
    def _newest_versions(self, after: datetime | None, upto: Cursor) -> Iterator[DuckDBScan]:
        span = sql_between(identifier(CHANGED_AT), _KIND, after, as_moment(self.name, upto))
        newest = f"QUALIFY row_number() OVER (PARTITION BY {self._key} ORDER BY {VERSION} DESC, {CHANGED_AT} DESC) = 1"
        rows = f"(SELECT * EXCLUDE ({VERSION}) FROM {self._versions} WHERE {span} {newest} ORDER BY {VERSION}, {self._key})"
        with self._connected() as connection:
            yield DuckDBScan(self.name, connection, rows, self._columns(connection), "true")

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self._file.exists():
            raise RetryableError(
                f"source {self.name}: the model {self._model} is not built yet — it is tried again;"
                f" flows build {self._model} builds it at once"
            )
        with super()._connected() as connection:
            yield connection

    def _columns(self, connection: duckdb.DuckDBPyConnection) -> tuple[Column, ...]:
        return tuple(column for column in super()._columns(connection) if column.name != VERSION)
