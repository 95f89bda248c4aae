"""Which source does a spec open, and what does opening one bring with it?"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flow_assets.errors import PermanentError
from flow_assets.sources.opening import open_source
from flow_assets.spec.source import DeltaSource, DuckDBSource, ParquetSource
from tests.event_tables import COLUMNS, TIMED, DuckDBEventTable, ParquetEventTable

LOADED = """
import sys
from pathlib import Path
from flow_assets.sources.opening import open_source
from flow_assets.spec.source import ParquetSource
columns = {"event_time": "t", "inserted_at": "i"}
open_source(ParquetSource.model_validate({"name": "events", "type": "parquet", "uri": "x", "columns": columns}), Path("/"))
print(*sorted({"deltalake", "botocore", "boto3", "dagster", "tenacity"} & set(sys.modules)))
"""


@pytest.mark.parametrize("model", [DeltaSource, ParquetSource])
def test_a_place_that_cannot_be_read_from_is_told(model: Any) -> None:
    spec = model.model_construct(name="events", uri="gs://bucket/events", s3=None)
    with pytest.raises(PermanentError, match="source events: cannot read from gs://"):
        open_source(spec, Path("/"))


def test_a_relative_path_is_below_the_project(tmp_path: Path) -> None:
    table = ParquetEventTable(str(tmp_path / "data" / "my events"))
    table.create(pa.schema([]))
    for uri in ("data/my events", str(tmp_path / "data" / "my events")):
        spec = ParquetSource.model_validate({"name": "events", "type": "parquet", "uri": uri, "columns": TIMED})
        assert [column.name for column in open_source(spec, tmp_path).columns()] == ["inserted_at"]


def test_a_relative_duckdb_file_is_below_the_project(tmp_path: Path) -> None:
    DuckDBEventTable(tmp_path / "events.duckdb").create(pa.schema([pa.field("n", pa.int64())]))
    values = {"name": "events", "type": "duckdb", "uri": "events.duckdb", "table": "events", "columns": TIMED}
    assert [column.name for column in open_source(DuckDBSource.model_validate(values), tmp_path).columns()] == ["inserted_at", "n"]


def test_without_credentials_s3_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    spec = DeltaSource.model_validate({"name": "events", "type": "delta", "uri": "s3://bucket/events", "columns": COLUMNS})
    with pytest.raises(PermanentError, match="no S3 credentials are found"):
        open_source(spec, Path("/"))


def test_a_source_brings_only_the_libraries_that_it_needs() -> None:
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""
