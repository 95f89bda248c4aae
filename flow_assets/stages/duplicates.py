"""Which rows are duplicates? A row is one if an earlier-inserted row that the flow delivers has the same key, and their events lie no
further apart than a span.

The rule looks at the source alone, so deliveries and regenerations agree and nothing needs to be remembered. An earlier row counts even if
it is a duplicate itself. Rows without a key, or whose event time cannot be filed, are never duplicates.

Two events of the same bucket of that span are near enough by themselves: so of each bucket only the first row need be compared with the
rows of the buckets beside it, and the work grows with the rows, however often a key is repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb

from flow_assets.plan.columns import Column
from flow_assets.plan.intervals import EPOCH, Interval, merged
from flow_assets.plan.partitions import FILEABLE_FROM, FILEABLE_UNTIL
from flow_assets.spec.flow import Deduplicate, Flow
from flow_assets.spec.source import SourceColumns
from flow_assets.stages.encode import event_time_column
from flow_assets.stages.engine import engine_errors
from flow_assets.stages.shape import DUPLICATE, columns_deciding, event_moment, kept
from flow_assets.stages.values import identifier

MOST_SPANS = 24
_ORDINAL = "_flow_ordinal"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Comparison:
    """How rows of a source with these columns are compared."""

    flow: Flow
    rule: Deduplicate
    source: SourceColumns
    available: Sequence[Column]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that it takes, in the source's order."""
        deciding = columns_deciding(self.flow, self.source, self.available)
        wanted = {name.lower() for name in (*deciding, self.rule.key, self.source.inserted_at) if name}
        return tuple(column.name for column in self.available if column.name.lower() in wanted)

    @property
    def key(self) -> str:
        """SQL of a row's key, as text."""
        return f"{identifier(self.rule.key)}::VARCHAR"

    @property
    def moment(self) -> str:
        """SQL of a row's event time, in µs since 1970."""
        return f"epoch_us({event_moment(event_time_column(self.source, self.available))})"

    @property
    def comparable(self) -> str:
        """SQL condition: the flow delivers the row, and it has a key and a moment."""
        first, last = ((edge - EPOCH) // _MICROSECOND for edge in (FILEABLE_FROM, FILEABLE_UNTIL))
        fileable = f"{self.moment} >= {first} AND {self.moment} < {last}"
        return f"{kept(self.flow, self.source)} AND {self.key} IS NOT NULL AND {fileable}"

    @property
    def width(self) -> int:
        """The span within which rows are the same event, in µs."""
        return self.rule.within // _MICROSECOND


def collect(engine: duckdb.DuckDBPyConnection, how: Comparison, relation: str, mine: str) -> list[Interval]:
    """Note the keys of the rows; ``mine`` is the condition of those that are to be judged.

    Gives the event time in which rows that were inserted earlier must be looked for.
    """
    inserted = f"epoch_us({identifier(how.source.inserted_at)})::HUGEINT * (1::HUGEINT << 40) + " if how.source.inserted_at else ""
    with engine_errors(f"flow {how.flow.name}: look for duplicates"):
        engine.execute(
            f"CREATE OR REPLACE TEMP TABLE _flow_keys AS SELECT {how.key} AS k, {how.moment} AS t, {inserted}{_ORDINAL}::HUGEINT AS place,"
            f" {_ORDINAL} AS ordinal, ({mine}) IS TRUE AS mine FROM {_numbered(relation)} WHERE {how.comparable}"
        )
        engine.execute("CREATE OR REPLACE TEMP TABLE _flow_older (k VARCHAR, t BIGINT)")
        buckets = engine.execute(f"SELECT DISTINCT t // {how.width} FROM _flow_keys").fetchall()
    around = (Interval(_at((bucket - 1) * how.width), _at((bucket + 2) * how.width)) for (bucket,) in buckets)
    return merged(around, MOST_SPANS)


def keys_query(how: Comparison, relation: str) -> str:
    """SQL of the keys and moments of rows that were inserted earlier."""
    return f"SELECT {how.key} AS k, {how.moment} AS t FROM {relation} WHERE {how.comparable}"


def add_older(engine: duckdb.DuckDBPyConnection, how: Comparison, rows: Any) -> None:
    """Note those of the rows that were inserted earlier whose key is among ours; ``rows`` is an Arrow reader of :func:`keys_query`."""
    with engine_errors(f"flow {how.flow.name}: look for duplicates among earlier rows"):
        engine.register("_flow_older_rows", rows)
        engine.execute("INSERT INTO _flow_older SELECT k, t FROM _flow_older_rows WHERE k IN (SELECT k FROM _flow_keys)")
        engine.unregister("_flow_older_rows")


def judge(engine: duckdb.DuckDBPyConnection, how: Comparison) -> int:
    """Decide about every row, by what was noted. Gives the number of bits that say so, for :func:`marked`."""
    width = how.width
    with engine_errors(f"flow {how.flow.name}: look for duplicates"):
        engine.execute(f"""
            CREATE OR REPLACE TEMP TABLE _flow_judged AS
            WITH everything AS (
                SELECT k, t, place, ordinal, mine, t // {width} AS bucket FROM _flow_keys
                UNION ALL SELECT k, t, -1, NULL, false, t // {width} FROM _flow_older
            ),
            repeated AS (SELECT * FROM everything WHERE k IN (SELECT k FROM everything GROUP BY k HAVING count(*) > 1)),
            ranked AS (SELECT *, row_number() OVER (PARTITION BY k, bucket ORDER BY place) AS rank FROM repeated),
            beside AS (
                SELECT DISTINCT one.ordinal
                FROM ranked AS one CROSS JOIN (VALUES (-1), (1)) AS step(width)
                JOIN repeated AS other ON other.k = one.k AND other.bucket = one.bucket + step.width
                WHERE one.rank = 1 AND one.mine AND other.place < one.place AND abs(other.t - one.t) <= {width}
            )
            SELECT ordinal FROM ranked WHERE mine AND rank > 1 UNION SELECT ordinal FROM beside
        """)
        [(last,)] = engine.execute("SELECT max(ordinal) FROM _flow_judged").fetchall()
        length = 0 if last is None else last + 1
        bits = f"bitstring_agg(ordinal, 0, {last})" if length else "NULL::BIT"
        engine.execute(f"CREATE OR REPLACE TEMP TABLE _flow_duplicates AS SELECT {bits} AS bits FROM _flow_judged")
        for table in ("keys", "older", "judged"):
            engine.execute(f"DROP TABLE _flow_{table}")
    return length


def marked(relation: str, bits: int) -> str:
    """The relation's rows in their order, each with the column :data:`~flow_assets.stages.shape.DUPLICATE`."""
    if bits == 0:
        return f"(SELECT *, false AS {DUPLICATE} FROM {relation})"
    bit = f"get_bit((SELECT bits FROM _flow_duplicates), {_ORDINAL}::INTEGER)"
    is_duplicate = f"CASE WHEN {_ORDINAL} < {bits} THEN {bit} = 1 ELSE false END"
    return f"(SELECT * EXCLUDE ({_ORDINAL}), {is_duplicate} AS {DUPLICATE} FROM {_numbered(relation)})"


def _numbered(relation: str) -> str:
    return f"(SELECT *, row_number() OVER () - 1 AS {_ORDINAL} FROM {relation})"


def _at(micros: int) -> datetime:
    return EPOCH + micros * _MICROSECOND
