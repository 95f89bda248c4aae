"""Which rows, which columns? The queries of a delivery over a source's rows.

Rows leave in this order of rules, and each is counted where it leaves: privacy filter, then sites and ``where``, then duplicates.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from flow_assets.plan.columns import Column
from flow_assets.plan.intervals import EPOCH, Interval
from flow_assets.plan.lateness import STEP_SECONDS
from flow_assets.plan.partitions import FILEABLE_FROM, FILEABLE_UNTIL, LENGTHS
from flow_assets.spec.flow import Flow, PartitionBy
from flow_assets.spec.source import SourceColumns
from flow_assets.spec.where import where_columns
from flow_assets.stages.values import as_timestamp, identifier, literal

BUCKET, DUPLICATE = "_flow_bucket", "_flow_duplicate"
UNKNOWN_BUCKET = -1
"""The bucket of rows whose event time cannot be filed."""


def bucket_expression(level: PartitionBy, event_time: Column) -> str:
    """SQL of a row's bucket: how many partition lengths its event time lies after 1970, or -1 if it cannot be filed."""
    length = LENGTHS[level]
    if length is None:
        return "0::BIGINT"
    micros, step = f"epoch_us({event_moment(event_time)})", timedelta(microseconds=1)
    first, until = ((edge - EPOCH) // step for edge in (FILEABLE_FROM, FILEABLE_UNTIL))
    return f"CASE WHEN {micros} >= {first} AND {micros} < {until} THEN {micros} // {length // step} ELSE {UNKNOWN_BUCKET} END"


def event_moment(event_time: Column) -> str:
    """SQL of the event time as a TIMESTAMP in UTC; null where text is not a time."""
    name = identifier(event_time.name)
    match event_time.type:
        case "TIMESTAMP WITH TIME ZONE":
            return as_timestamp(name, "timestamp with time zone")
        case "VARCHAR":
            return f"(TRY_CAST({name} AS TIMESTAMP WITH TIME ZONE) AT TIME ZONE 'UTC')"
        case "TIMESTAMP":
            return name
    return f"{name}::TIMESTAMP"


def happened_within(event_time: Column, span: Interval) -> str:
    """SQL condition: the event time lies in a span. The engine compares it with the statistics of files where it can."""
    start, end = (edge.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f") for edge in (span.start, span.end))
    if event_time.type == "TIMESTAMP WITH TIME ZONE":
        name = identifier(event_time.name)
        return f"{name} >= TIMESTAMPTZ '{start}+00' AND {name} < TIMESTAMPTZ '{end}+00'"
    return f"{event_moment(event_time)} >= TIMESTAMP '{start}' AND {event_moment(event_time)} < TIMESTAMP '{end}'"


def columns_needed(flow: Flow, source: SourceColumns, delivered: Sequence[Column], available: Sequence[Column]) -> tuple[str, ...]:
    """Names of the columns that the queries touch, in the source's order."""
    wanted = {column.name for column in delivered} | set(columns_deciding(flow, source, available))
    return tuple(column.name for column in available if column.name in wanted)


def columns_deciding(flow: Flow, source: SourceColumns, available: Sequence[Column]) -> tuple[str, ...]:
    """Names of the columns that decide whether and where a row is delivered, in the source's order."""
    wanted = {source.event_time.lower()}
    if flow.privacy_filter and source.consent:
        wanted.add(source.consent.lower())
    if flow.sites != "all" and source.site:
        wanted.add(source.site.lower())
    if flow.where:
        wanted |= {name.lower() for name in where_columns(flow.where)}
    return tuple(column.name for column in available if column.name.lower() in wanted)


def tally_query(flow: Flow, source: SourceColumns, event_time: Column, relation: str, begins: datetime | None) -> str:
    """SQL that counts rows by fate (``privacy``, ``filter``, ``duplicate``, ``written``), bucket and lateness.

    With the earliest event in µs since 1970. Lateness is that of written rows before ``begins``; null if nothing begins.
    """
    privacy, passed = _privacy(flow, source), _filter(flow, source)
    repeated = f" WHEN {DUPLICATE} THEN 'duplicate'" if flow.deduplicate else ""
    fate = f"CASE WHEN ({privacy}) IS NOT TRUE THEN 'privacy' WHEN ({passed}) IS NOT TRUE THEN 'filter'{repeated} ELSE 'written' END"
    bucket, moment = bucket_expression(flow.partition_by, event_time), f"epoch_us({event_moment(event_time)})"
    rows = f"SELECT {fate} AS fate, {bucket} AS {BUCKET}, {moment} AS moment FROM {relation}"
    late = "NULL" if begins is None else f"CASE WHEN fate = 'written' THEN {lateness_expression('moment', begins)} END"
    return f"SELECT fate, {BUCKET}, {late} AS late, count(*), min(moment) FROM ({rows}) GROUP BY ALL ORDER BY ALL"


def lateness_expression(moment: str, begins: datetime) -> str:
    """SQL of how many seconds before ``begins`` a moment (µs since 1970) was at most, in steps; null if it cannot be filed."""
    start, until, step = (
        (to - EPOCH) // timedelta(microseconds=1) for to in (begins, FILEABLE_UNTIL, EPOCH + timedelta(seconds=STEP_SECONDS))
    )
    steps = f"(({start} - {moment} + {step - 1}) // {step})"
    longer = f"greatest(floor(log2(greatest({steps} - 1, 1)))::BIGINT - 2, 0)"
    seconds = f"((({steps} + (1 << {longer}) - 1) >> {longer}) << {longer}) * {STEP_SECONDS}"
    return f"CASE WHEN {moment} >= {start} AND {moment} < {until} THEN 0 WHEN {moment} >= 0 AND {moment} < {start} THEN {seconds} END"


def rows_query(flow: Flow, source: SourceColumns, event_time: Column, relation: str, fields: Sequence[tuple[str, str]]) -> str:
    """SQL of the delivered rows: the bucket, then ``fields`` (names and expressions), in insertion order."""
    bucket = bucket_expression(flow.partition_by, event_time)
    first = f" AND NOT {DUPLICATE}" if flow.deduplicate else ""
    listed = ", ".join(f"{expression} AS {name}" for name, expression in fields)
    return f"SELECT {bucket} AS {BUCKET}, {listed} FROM {relation} WHERE {kept(flow, source)}{first}"


def kept(flow: Flow, source: SourceColumns) -> str:
    """SQL condition: neither the privacy filter nor sites or ``where`` exclude the row."""
    return f"({_privacy(flow, source)}) AND ({_filter(flow, source)})"


def _privacy(flow: Flow, source: SourceColumns) -> str:
    if not flow.privacy_filter or source.consent is None:
        return "true"
    consent = identifier(source.consent)
    return consent if flow.privacy_filter == "strict" else f"{consent} IS DISTINCT FROM false"


def _filter(flow: Flow, source: SourceColumns) -> str:
    conditions = []
    if flow.sites != "all" and source.site is not None:
        sites = ", ".join(literal(str(site)) for site in flow.sites)
        conditions.append(f"{identifier(source.site)}::VARCHAR IN ({sites})")
    if flow.where:
        conditions.append(f"(\n{flow.where}\n)")
    return " AND ".join(conditions) or "true"
