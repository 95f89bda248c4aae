"""Where do rows get their shape? In an embedded engine that can reach nothing but the scan's own files and the spool."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.stages.values import literal

MEMORY_LIMIT = "512MB"
STREAM_BUFFER = "6MB"
"""How far the engine's threads may be ahead of who reads their rows: with the engine's default of 1 MB only one of them works."""

_USELESS = "common_subexpressions"
"""Optimizers that save next to nothing in lines of text, and take a quarter of the time to plan them: 0.3 s for 1,400 columns."""

_BYTES_PER_COLUMN = 300_000
"""What a thread holds for each column while it makes lines: a few vectors of 2,048 values."""


def threads_for(columns: int) -> int:
    """How many threads may work on rows of so many columns: with more the engine would be out of memory."""
    return max(1, min(os.cpu_count() or 1, 4, 400_000_000 // (_BYTES_PER_COLUMN * max(columns, 1))))


@contextmanager
def open_engine(spool: Path, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that spills to ``spool`` beyond its memory limit and reads times without a zone as UTC."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": threads or min(os.cpu_count() or 1, 4),
        "memory_limit": MEMORY_LIMIT,
        "temp_directory": str(spool / "spill"),
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "arrow_large_buffer_size": True,
    }
    with duckdb.connect(":memory:", config=config) as engine:
        engine.execute("SET GLOBAL TimeZone = 'UTC'")
        engine.execute("SET enable_progress_bar = false")  # in interactive sessions it would print among our own output
        engine.execute(f"SET streaming_buffer_size = '{STREAM_BUFFER}'")
        engine.execute(f"SET disabled_optimizers = '{_USELESS}'")
        yield engine


def lock(engine: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
    """From here on the engine reads ``paths`` (folders end in ``/``) and nothing else, whatever a flow's ``where`` says."""
    folders = [path for path in paths if path.endswith("/")]
    files = [path for path in paths if not path.endswith("/")]
    if folders:
        engine.execute(f"SET allowed_directories = [{', '.join(map(literal, folders))}]")
    if files:
        engine.execute(f"SET allowed_paths = [{', '.join(map(literal, files))}]")
    engine.execute("SET enable_external_access = false")
    engine.execute("SET lock_configuration = true")


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Tell the engine's errors apart by what to do about them."""
    try:
        yield
    except FlowError:
        raise
    except (duckdb.Error, OSError) as error:
        if _may_pass(error):
            raise RetryableError(
                f"{doing}: {_first_line(error)} — it is tried again; if it stays, check the source's storage and the spool's disk"
            ) from error
        raise PermanentError(f"{doing}: {_first_line(error)} — correct the flow or the source's data") from error


def _may_pass(error: duckdb.Error | OSError) -> bool:
    """Whether trying again may help. Errors in the middle of a stream come through Arrow: as an OSError without a number, with the
    engine's sentence."""
    if isinstance(error, OSError) and error.errno is None:
        return str(error).startswith(("Out of Memory Error", "IO Error", "HTTP Error"))
    return isinstance(error, duckdb.IOException | duckdb.HTTPException | duckdb.OutOfMemoryException | OSError)


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
