"""Which version is this ledger of? A new one is made, an older one brought up to date, a newer one refused."""

from sqlalchemy import Connection, insert, inspect, select, update

from flow_assets.errors import PermanentError
from flow_assets.ledger.database import Database
from flow_assets.ledger.tables import metadata, schema_version

# The statements that lead from version 1 to 2, from 2 to 3, …: plain SQL that SQLite and PostgreSQL both know. A new ledger is made from
# tables.py and never runs them, so each change is made in both places.
UPGRADES: tuple[tuple[str, ...], ...] = (
    ("CREATE TABLE lateness (delivery BIGINT PRIMARY KEY NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE, entries TEXT NOT NULL)",),
    ('CREATE TABLE erasures (flow TEXT NOT NULL, "where" TEXT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (flow, "where"))',),
    (
        "CREATE TABLE observations (source TEXT PRIMARY KEY NOT NULL, inserted BIGINT, event BIGINT, observed_at BIGINT, error TEXT, "
        "failed_since BIGINT)",
    ),
    (
        "CREATE TABLE alerts (channel TEXT NOT NULL, about TEXT NOT NULL, state TEXT NOT NULL, since BIGINT NOT NULL, at BIGINT NOT NULL, "
        "told TEXT, shared TEXT NOT NULL, PRIMARY KEY (channel, about))",
    ),
    (
        "ALTER TABLE failures ADD COLUMN first_at BIGINT",
        "ALTER TABLE failures ADD COLUMN destination TEXT",
        "ALTER TABLE failures ADD COLUMN circumstances TEXT",
    ),
    ("CREATE TABLE names (name TEXT PRIMARY KEY NOT NULL, flow TEXT NOT NULL)",),
)


def migrate(database: Database) -> None:
    """Make the tables, or bring them up to date; safe when several processes open the ledger at once.

    Raises:
        PermanentError: the ledger is of a later version, or the database holds other tables of these names.
    """
    with database.reading() as connection:
        if _version(connection) == newest():
            return
    with database.writing("schema") as connection:
        _migrate(connection, database.where)


def check(database: Database) -> None:
    """Refuse a ledger that is not of the version that this code reads.

    Raises:
        PermanentError: it is of another version, or there is none.
    """
    with database.reading() as connection:
        found = _version(connection)
    if found != newest():
        told = "holds no ledger" if found is None else f"is of version {found}"
        raise PermanentError(
            f"{database.where} {told}, this flow_assets reads version {newest()} — deliver with it once, or use the same one"
        )


def newest() -> int:
    """The version that this code reads and writes."""
    return 1 + len(UPGRADES)


def _migrate(connection: Connection, where: str) -> None:
    found = _version(connection)
    if found is None:
        metadata.create_all(connection, checkfirst=False)
        connection.execute(insert(schema_version).values(version=newest()))
        return
    if found > newest():
        raise PermanentError(f"{where} is of version {found}, made by a later flow_assets; this one knows {newest()} — upgrade flow_assets")
    for statement in (statement for step in UPGRADES[found - 1 :] for statement in step):
        connection.exec_driver_sql(statement)
    connection.execute(update(schema_version).values(version=newest()))


def _version(connection: Connection) -> int | None:
    if not inspect(connection).has_table(schema_version.name):
        return None
    return connection.execute(select(schema_version.c.version)).scalar_one_or_none()
