"""What does the ledger list of a flow? Its reports and their files, its columns, and how much it all is."""

from collections.abc import Collection
from datetime import datetime, timedelta

from flow_assets.ledger import deliveries, reported, schemas, volume
from flow_assets.ledger.database import Database
from flow_assets.ledger.deliveries import Recorded
from flow_assets.ledger.names import Names
from flow_assets.plan.columns import Column
from flow_assets.plan.names import Kind

_LAST_DAY = timedelta(days=1)


class Listing:
    """A part of the ledger; raises what the ledger raises."""

    def __init__(self, database: Database, names: Names) -> None:
        self._database, self._names = database, names

    def report_paths(self, flow: str, since: datetime | None = None) -> list[str]:
        """Where the reports are of all that is recorded, whatever its kind and revision, whose interval ends after ``since``."""
        with self._database.reading() as connection:
            return reported.report_paths(connection, self._names.of(flow), since)

    def reported(self, flow: str, kind: Kind, end: datetime, revision: int) -> list[Recorded]:
        """What is recorded under the name of a report: usually one."""
        with self._database.reading() as connection:
            return deliveries.recorded(connection, reported.named(self._names.of(flow), kind, end, revision))

    def listed(self, flow: str, paths: Collection[str]) -> set[str]:
        """Those of the paths that something recorded of the flow lists."""
        with self._database.reading() as connection:
            return reported.listed(connection, self._names.of(flow), paths)

    def columns_before(self, flow: str, moment: datetime) -> tuple[Column, ...] | None:
        """The columns of the newest delivery whose interval ended by a moment."""
        with self._database.reading() as connection:
            return schemas.before(connection, self._names.of(flow), moment)

    def columns_lately(self, flows: Collection[str]) -> dict[str, tuple[schemas.Since, ...]]:
        """Of the flows that delivered other columns in the last day that they delivered: which, and since when; by few queries."""
        with self._database.reading() as connection:
            return self._names.back(schemas.lately(connection, [self._names.of(flow) for flow in flows], _LAST_DAY), flows)

    def volume(self, flow: str) -> volume.Delivered:
        """How much of what the flow delivered counts, and for how long it did."""
        with self._database.reading() as connection:
            return volume.delivered(connection, self._names.of(flow))
