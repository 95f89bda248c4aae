"""Which report was about to be put? Written before a report is put, taken back when it is recorded."""

from sqlalchemy import Connection, delete, insert, select

from flow_assets.ledger.tables import announcements


def announce(connection: Connection, flow: str, report_path: str | None) -> None:
    """Write down the report that is about to be put, or (None) that none is."""
    connection.execute(delete(announcements).where(announcements.c.flow == flow))
    if report_path is not None:
        connection.execute(insert(announcements).values(flow=flow, report_path=report_path))


def announced(connection: Connection, flow: str) -> str | None:
    """The report that was announced and not recorded since."""
    return connection.execute(select(announcements.c.report_path).where(announcements.c.flow == flow)).scalar_one_or_none()
