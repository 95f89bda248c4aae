"""What does the ledger's database hold? Its tables, and how a moment is written in them.

Moments are microseconds since 1970 in UTC, as 64-bit integers: they sort and compare the same in every database and collation, add up in
SQL, and take a third of ISO text's room in the indexes, which grow by every interval of every flow. ``recorded_at / 1000000`` is Unix time.
"""

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text, UniqueConstraint

from flow_assets.plan.intervals import EPOCH

metadata = MetaData()
# SQLite counts up only what is called INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")
# Sorted by code point in every database, as Python sorts.
_Text = Text().with_variant(Text(collation="C"), "postgresql")

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

cursors = Table(
    "cursors",
    metadata,
    Column("source", _Text, primary_key=True),
    Column("moment", BigInteger, primary_key=True),
    Column("cursor", _Text, nullable=False, comment="JSON: a version, or a moment as ISO 8601"),
)

# A flow's columns seldom change and may be 1,400: each list is kept once, not with every delivery.
schemas = Table("schemas", metadata, Column("hash", _Text, primary_key=True), Column("columns", _Text, nullable=False))

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("flow", _Text, nullable=False),
    Column("kind", _Text, nullable=False, comment="delivery or regeneration"),
    Column("interval_start", BigInteger, nullable=False),
    Column("interval_end", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("cursor_from", _Text, nullable=False, comment="JSON, as in cursors"),
    Column("cursor_to", _Text, nullable=False),
    Column("spec_hash", _Text, nullable=False),
    Column("schema_hash", _Text, ForeignKey("schemas.hash"), nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("rows_written", BigInteger, nullable=False),
    Column("rows_excluded_privacy", BigInteger, nullable=False),
    Column("rows_excluded_filter", BigInteger, nullable=False),
    Column("rows_duplicates", BigInteger, nullable=False),
    Column("report_path", _Text, nullable=False),
    Column("manifest", _Text, nullable=False, comment="the manifest's JSON without its schema"),
    Column("recorded_at", BigInteger, nullable=False),
    # The end comes before the start, so that this one index answers «since», «newest» and «this interval».
    UniqueConstraint("flow", "kind", "interval_end", "interval_start", "revision"),
)

files = Table(
    "files",
    metadata,
    Column("delivery", _Id, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("path", _Text, primary_key=True),
    Column("partition", _Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", _Text, nullable=False),
)

partitions = Table(
    "partitions",
    metadata,
    Column("delivery", _Id, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("key", _Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
    Column("late_rows", BigInteger, nullable=False),
    Column("max_lateness_seconds", Float),
)

# Beside the manifest, not in it, so that a day of a thousand flows can be added up at once.
lateness = Table(
    "lateness",
    metadata,
    Column("delivery", BigInteger, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True),
    Column("entries", Text, nullable=False, comment="JSON: seconds and rows of each entry in the manifest"),
)

# By path, not by file: what is superseded may have been delivered before this ledger began.
supersessions = Table(
    "supersessions",
    metadata,
    Column("delivery", _Id, ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True, comment="the one that supersedes"),
    Column("path", _Text, primary_key=True),
    Column("flow", _Text, nullable=False),
    Index("supersessions_by_flow", "flow", "path"),
)

# The stretches of insertion time that a flow delivered without a gap: disjoint, never touching, kept up by every record.
coverage = Table(
    "coverage",
    metadata,
    Column("flow", _Text, primary_key=True),
    Column("until", BigInteger, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("grown_at", BigInteger, nullable=False, comment="when the newest interval of the stretch was recorded"),
)

failures = Table(
    "failures",
    metadata,
    Column("flow", _Text, primary_key=True),
    Column("interval_start", BigInteger, primary_key=True),
    Column("interval_end", BigInteger, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("error", _Text, nullable=False),
    Column("permanent", Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("first_at", BigInteger, comment="the first of the attempts; null if it was before this was kept"),
    Column("destination", Text, comment="the one that gave the error, if one did"),
    Column("circumstances", Text, comment="the spec and the secrets under which it failed, as a short hash"),
)

# The report that a flow's process is about to put: if it is killed before it records it, the next one looks for it.
announcements = Table("announcements", metadata, Column("flow", _Text, primary_key=True), Column("report_path", _Text, nullable=False))

# What must not be delivered any more. Conditions, not hashes: every later reading of the source applies them.
erasures = Table(
    "erasures",
    metadata,
    Column("flow", Text, primary_key=True),
    Column("where", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
)

# What each source was last seen to hold; one row a source.
observations = Table(
    "observations",
    metadata,
    Column("source", Text, primary_key=True),
    Column("inserted", BigInteger, comment="the newest insertion"),
    Column("event", BigInteger, comment="the newest event"),
    Column("observed_at", BigInteger, comment="when it was last read"),
    Column("error", Text, comment="why it could not be read since"),
    Column("failed_since", BigInteger),
)

# What each alert channel is to know and was told of everything that is in trouble; nothing of what is well.
alerts = Table(
    "alerts",
    metadata,
    Column("channel", Text, primary_key=True),
    Column("about", Text, primary_key=True, comment="flow shop_feed"),
    Column("state", Text, nullable=False),
    Column("since", BigInteger, nullable=False, comment="when the trouble began"),
    Column("at", BigInteger, nullable=False, comment="when the state was noticed"),
    Column("told", Text, comment="the state that the channel was told last"),
    Column("shared", Text, nullable=False),
)

# Under which name the record of a renamed flow is kept: the first that it had. Flows that kept their name are not here.
names = Table("names", metadata, Column("name", Text, primary_key=True), Column("flow", Text, nullable=False))

claims = Table(
    "claims",
    metadata,
    Column("flow", _Text, primary_key=True),
    Column("holder", _Text, nullable=False),
    Column("since", BigInteger, nullable=False, comment="by the database's own clock"),
)


def micros(moment: datetime) -> int:
    """A moment (aware) as the ledger writes it."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment(micros: int) -> datetime:
    """The inverse of :func:`micros`: aware UTC."""
    return EPOCH + timedelta(microseconds=micros)
