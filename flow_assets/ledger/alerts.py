"""What was each alert channel told? Its record of everything that is in trouble, kept through restarts."""

from typing import Any

from sqlalchemy import Connection, delete, insert, select

from flow_assets.ledger.tables import alerts, micros, moment
from flow_assets.plan.alerts import Noticed, Record

_AT_ONCE = 500


def records(connection: Connection) -> dict[str, Record]:
    """The records by channel."""
    found: dict[str, dict[str, Noticed]] = {}
    for row in connection.execute(select(alerts)):
        line = Noticed(row.about, row.state, moment(row.since), moment(row.at), row.told, row.shared)
        found.setdefault(row.channel, {})[row.about] = line
    return dict(found)


def keep(connection: Connection, channel: str, record: Record) -> None:
    """Replace the lines that are other ones now."""
    before = records(connection).get(channel, {})
    old = [about for about, line in before.items() if record.get(about) != line]
    new = [_values(channel, line) for about, line in record.items() if before.get(about) != line]
    for at in range(0, len(old), _AT_ONCE):
        connection.execute(delete(alerts).where(alerts.c.channel == channel, alerts.c.about.in_(old[at : at + _AT_ONCE])))
    if new:
        connection.execute(insert(alerts), new)


def _values(channel: str, line: Noticed) -> dict[str, Any]:
    times = {"since": micros(line.since), "at": micros(line.at)}
    return {"channel": channel, "about": line.about, "state": line.state, "told": line.told, "shared": line.shared, **times}
