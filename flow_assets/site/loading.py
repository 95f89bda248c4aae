"""How is a flow loaded? A few lines for each warehouse that load its newest report, in that flow's own names, folders and format.

All honour reports and supersession (``docs/ingest.md`` tells the algorithm). Those of DuckDB and PostgreSQL are run by our tests; for the
others nobody here has a server.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from flow_assets.plan.names import Layout, beginning
from flow_assets.spec.flow import CsvFormat, Flow, Format, NdjsonFormat
from flow_assets.stages.values import literal


@dataclass(frozen=True)
class Snippet:
    """Lines to copy, and what has to be known besides."""

    title: str
    text: str
    note: str


@dataclass(frozen=True)
class Arrival:
    """Where a flow arrives: ``root`` is what paths begin at, with a ``/`` at its end; an example of a part and of its report.

    ``key``, of rows of a model: of rows that are equal in it the last delivered one counts.
    """

    flow: Flow
    layout: Layout
    root: str
    part: str
    report: str
    key: tuple[str, ...] = ()

    @property
    def table(self) -> str:
        """What the table is called in examples."""
        return self.flow.name


def snippets(arrival: Arrival, remote: bool) -> Iterator[Snippet]:
    """In the order of how little there is to do. ``remote``: only programs of the server's own protocol reach the files."""
    keyed = f" Of rows that are equal in {', '.join(arrival.key)}, use the one that was delivered last." if arrival.key else ""
    yield _ingest(arrival)
    for make in _WAREHOUSES:
        found = make(arrival)
        if found:
            note = "Copy the files to a place that it reads first, with their paths as they are. " if remote else ""
            yield Snippet(found.title, found.text, note + found.note + keyed)


def _ingest(arrival: Arrival) -> Snippet:
    return Snippet(
        "flows ingest",
        f"flows ingest {arrival.flow.name} --into warehouse.duckdb --table {arrival.table}\n",
        "Loads what is new, each report once, into DuckDB or PostgreSQL (--into postgresql://…). Run it as often as you like.",
    )


def _duckdb(arrival: Arrival) -> Snippet:
    begins = _globbed(beginning(arrival.layout, arrival.flow.folder, arrival.flow.name))
    own = "" if arrival.layout == "folders" else f"/{arrival.flow.name}_"
    text = f"""\
SET VARIABLE root = {literal(arrival.root)};
SET VARIABLE files = (
  WITH reports AS (
    SELECT filename, content FROM read_text(getvariable('root') || {literal(f"{begins}*.report")})
    WHERE filename ~ {literal(f".*{own}{_NOTE}")}
  ), manifests AS (
    SELECT content::JSON AS said FROM read_text(getvariable('root') || {literal(f"{begins}*.manifest.json")})
    WHERE replace(filename, '.manifest.json', '.report') IN (SELECT filename FROM reports)
  ), listed AS (
    SELECT unnest(string_split(content, chr(10))) AS path FROM reports
  ), superseded AS (
    SELECT unnest((said->'supersedes')::VARCHAR[]) AS path FROM manifests
  )
  SELECT list(getvariable('root') || path ORDER BY path) FROM listed WHERE path <> '' AND path NOT IN (FROM superseded)
);
CREATE OR REPLACE TABLE {arrival.table} AS
  SELECT * FROM {_duckdb_reader(arrival.flow.format)};
"""
    return Snippet("DuckDB", text, "All that counts now, from all reports that are there. For what is new only, use flows ingest.")


_NOTE = r"\d{8}T\d{6}Z_(delivery|regeneration)(_r\d+)?\.report"


def _duckdb_reader(format_: Format) -> str:
    beside = ["union_by_name = true", "hive_partitioning = false", "filename = '_flow_file'"]
    match format_:
        case CsvFormat():
            quoting = [f"header = true, delim = {_delimiter(format_)}, quote = '\"', escape = '\"', allow_quoted_nulls = false"]
            return _call("read_csv", [*quoting, "all_varchar = true", *beside])
        case NdjsonFormat():
            return _call("read_json", ["format = 'newline_delimited'", *beside])
    return _call("read_parquet", beside)


def _call(function: str, options: list[str]) -> str:
    return f"{function}(getvariable('files'),\n    " + ",\n    ".join(options) + ")"


def _postgres(arrival: Arrival) -> Snippet | None:
    format_ = arrival.flow.format
    if not isinstance(format_, CsvFormat):
        return None
    file = literal(arrival.root + arrival.part)
    unpacked = f"PROGRAM {literal('gzip -dc ' + _shell(arrival.root + arrival.part))}" if format_.compression == "gzip" else file
    return Snippet("PostgreSQL", f"""\
BEGIN;
{_superseded(arrival)}
CREATE TEMP TABLE arrived (LIKE {arrival.table}) ON COMMIT DROP;
ALTER TABLE arrived DROP COLUMN _flow_file;
\\copy arrived FROM {unpacked} (FORMAT csv, HEADER, DELIMITER {_delimiter(format_, "E")})
INSERT INTO {arrival.table} SELECT *, {literal(arrival.part)} FROM arrived;
{_noted(arrival)}
COMMIT;
""", f"In psql, for each report, oldest first; for each of its files, \\copy and INSERT. The table has the flow's columns, in their order, "
        f"and last `_flow_file text`. {_BESIDE}")  # fmt: skip


def _snowflake(arrival: Arrival) -> Snippet:
    match arrival.flow.format:
        case CsvFormat() as format_:
            kind = (
                f"TYPE = CSV PARSE_HEADER = TRUE FIELD_DELIMITER = {_delimiter(format_)} FIELD_OPTIONALLY_ENCLOSED_BY = '\"' "
                "EMPTY_FIELD_AS_NULL = TRUE"
            )
        case NdjsonFormat():
            kind = "TYPE = JSON"
        case _:
            kind = "TYPE = PARQUET"
    return Snippet("Snowflake", f"""\
BEGIN;
{_superseded(arrival)}
COPY INTO {arrival.table} FROM @partner
  FILES = ({literal(arrival.part)})
  FILE_FORMAT = ({kind})
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE INCLUDE_METADATA = (_flow_file = METADATA$FILENAME) FORCE = TRUE;
{_noted(arrival)}
COMMIT;
""", "For each report, oldest first; up to 1000 files at a time. The stage `partner` begins where our paths do: keep its prefix in mind "
        f"when you compare METADATA$FILENAME with them. {_BESIDE}")  # fmt: skip


def _bigquery(arrival: Arrival) -> Snippet:
    match arrival.flow.format:
        case CsvFormat() as format_:
            options = f"format = 'CSV', skip_leading_rows = 1, allow_quoted_newlines = true, field_delimiter = {_delimiter(format_)}"
            more = " Of text, empty fields become empty strings, not nulls."
        case NdjsonFormat():
            options, more = "format = 'NEWLINE_DELIMITED_JSON'", ""
        case _:
            options, more = "format = 'PARQUET'", ""
    begin = "gs://bucket/"
    return Snippet("BigQuery", f"""\
CREATE OR REPLACE EXTERNAL TABLE partner.arrived OPTIONS (
  {options},
  uris = [{literal(begin + arrival.part)}]);
BEGIN TRANSACTION;
{_superseded(arrival, "partner.", begin)}
INSERT INTO partner.{arrival.table} SELECT *, _FILE_NAME FROM partner.arrived;
{_noted(arrival, "partner.")}
COMMIT TRANSACTION;
""", f"For each report that lists files, oldest first, once they lie in Cloud Storage. The table has the flow's columns, in their order, "
        f"and last `_flow_file`.{more} {_BESIDE}")  # fmt: skip


def _spark(arrival: Arrival) -> Snippet:
    begin = arrival.root if arrival.root.startswith("s3://") else "s3://bucket/"
    match arrival.flow.format:
        case CsvFormat() as format_:
            read = (
                f'option("header", True).option("sep", {_quoted(format_.delimiter)}).option("multiLine", True).option("escape", \'"\').csv'
            )
        case NdjsonFormat():
            read = "json"
        case _:
            read = "parquet"
    return Snippet("Spark, Databricks", f"""\
arrived = spark.read.{read}([{_quoted(begin + arrival.part)}])
arrived.selectExpr("*", "_metadata.file_path AS _flow_file").createOrReplaceTempView("arrived")
spark.sql(\"\"\"
MERGE INTO {arrival.table} USING arrived ON {arrival.table}._flow_file = arrived._flow_file
WHEN NOT MATCHED THEN INSERT *
WHEN NOT MATCHED BY SOURCE AND {arrival.table}._flow_file IN ('{_SUPERSEDED}') THEN DELETE
\"\"\")
""", "A Delta table, for each report that lists files, oldest first: one MERGE is one commit, and files that are in the table already are "
        "not inserted again. The paths to delete are the manifest's `supersedes`, written as `_flow_file` is.")  # fmt: skip


_WAREHOUSES: tuple[Callable[[Arrival], Snippet | None], ...] = (_duckdb, _postgres, _snowflake, _bigquery, _spark)
_SUPERSEDED = "<each path that the manifest supersedes>"
_BESIDE = (
    "Beside it lie `flow_files (path, state)`, to leave out files that were superseded before they were loaded, and "
    "`flow_loads (report)`, to load each report once."
)


def _superseded(arrival: Arrival, schema: str = "", begin: str = "") -> str:
    paths = literal(begin + _SUPERSEDED)
    return (
        f"DELETE FROM {schema}{arrival.table} WHERE _flow_file IN ({paths});\n"
        f"INSERT INTO {schema}flow_files VALUES ({paths}, 'superseded');"
    )


def _noted(arrival: Arrival, schema: str = "") -> str:
    return f"INSERT INTO {schema}flow_loads VALUES ({literal(arrival.report)});"


def _delimiter(format_: CsvFormat, prefix: str = "") -> str:
    return f"{prefix}'\\t'" if format_.delimiter == "\t" else literal(format_.delimiter)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'


def _shell(path: str) -> str:
    return "'" + path.replace("'", "'\\''") + "'"


def _globbed(path: str) -> str:
    """A path in which characters that mean something in patterns stand for themselves."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)
