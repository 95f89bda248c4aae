"""Which source does a spec mean? Opens it; what a kind of source needs is imported only when one is opened."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flow_assets.sources.contract import Source
from flow_assets.sources.places import open_place
from flow_assets.spec.source import DeltaSource, ModelSource, ParquetSource
from flow_assets.spec.source import Source as SourceSpec

if TYPE_CHECKING:
    import duckdb

BUSY_FILE_WAIT = timedelta(seconds=60)
"""How long to wait for a file that another process holds."""


def open_source(
    spec: SourceSpec,
    project: Path,
    environ: Mapping[str, str] | None = None,
    connect: "Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]] | None" = None,
    wait: timedelta = BUSY_FILE_WAIT,
) -> Source:
    """The event table that a spec describes; nothing is read yet. A relative ``uri`` is below ``project``.

    ``environ`` holds the secrets that the spec refers to (default: the process's environment). For a DuckDB file, ``connect`` gives the
    connection to use, such as ``DuckDBResource.get_connection``, and ``wait`` is how long to wait for a process that holds the file.

    Raises:
        PermanentError: a secret is not set, or the ``uri`` is of a kind that cannot be read.
    """
    if isinstance(spec, DeltaSource):
        from flow_assets.sources.delta import DeltaEvents

        return DeltaEvents(spec, open_place(spec.name, spec.uri, spec.s3, project, environ))
    if isinstance(spec, ParquetSource):
        from flow_assets.sources.parquet import ParquetEvents

        return ParquetEvents(spec, open_place(spec.name, spec.uri, spec.s3, project, environ))
    if isinstance(spec, ModelSource):
        from flow_assets.sources.model_rows import ModelRows

        return ModelRows(spec, project / spec.uri, connect, wait=wait)
    from flow_assets.sources.duckdb_file import DuckDBEvents

    return DuckDBEvents(spec, project / spec.uri, connect, wait)
