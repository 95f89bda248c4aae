"""Which table does a URL mean? A DuckDB file by its path, or a PostgreSQL database."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flow_assets.errors import PermanentError
from flow_assets.ingest.target import Target

_FORMS = "give the path of a DuckDB file, duckdb:///<path>, or postgresql://<user>:<password>@<host>/<database>"
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg2")


@contextmanager
def open_target(url: str, table: str, spool: Path) -> Iterator[Target]:
    """A table, held until the block ends: nobody else loads into it meanwhile. It may be missing, and is made when rows come.

    ``table`` is a name, or ``schema.name``. Below ``spool`` parts are kept while they are loaded.

    Raises:
        BusyError: another process is loading into it.
        PermanentError: the URL means no database that we know, or it cannot be opened. No message holds a password.
        RetryableError: the server cannot be reached right now.
    """
    scheme, _, rest = url.partition("://")
    schema, _, name = table.rpartition(".")
    if not name:
        raise PermanentError(f"{table!r} is no name of a table — write name, or schema.name")
    place = url.rpartition("@")[2].partition("?")[0]  # no password
    own = spool.absolute() / hashlib.sha256(f"{place}\n{table}".encode()).hexdigest()[:16]
    if scheme in _POSTGRES:
        from flow_assets.ingest.postgres import open_postgres

        with open_postgres(f"postgresql://{rest}", name, schema or None, own) as target, _empty(own):
            yield target
        return
    path = rest.removeprefix("/") if scheme == "duckdb" else url
    if not path or "://" in path or (scheme == "duckdb" and not rest.startswith("/")):
        raise PermanentError(f"there is nothing to load into at such a URL — {_FORMS}")
    from flow_assets.ingest.duckdb_file import open_duckdb

    with open_duckdb(Path(path).absolute(), name, schema or None, own) as target, _empty(own):
        yield target


@contextmanager
def _empty(spool: Path) -> Iterator[None]:
    """What a killed process left in the spool is removed; so is what we leave. Only once nobody else can be using it."""
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir(parents=True)
    try:
        yield
    finally:
        shutil.rmtree(spool, ignore_errors=True)
