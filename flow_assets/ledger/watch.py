"""What was seen of the sources, and whom was told what of the flows? Kept beside the deliveries, for freshness and alerts."""

from flow_assets.ledger import alerts, observations
from flow_assets.ledger.database import Database
from flow_assets.plan.alerts import Record as AlertRecord
from flow_assets.plan.freshness import Observation


class Watch:
    """A part of the ledger; raises what the ledger raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_observation(self, seen: Observation) -> None:
        """Write down what a source was seen to hold, or that it could not be read (then with what is still known of it)."""
        with self._database.writing(f"observations/{seen.source}") as connection:
            observations.note(connection, seen)

    def observations(self) -> dict[str, Observation]:
        """What each source was last seen to hold; without those that nobody looked at."""
        with self._database.reading() as connection:
            return observations.newest(connection)

    def alerts(self) -> dict[str, AlertRecord]:
        """The record of each alert channel that has one."""
        with self._database.reading() as connection:
            return alerts.records(connection)

    def keep_alerts(self, channel: str, record: AlertRecord) -> None:
        """Make this the channel's record."""
        with self._database.writing(f"alerts/{channel}") as connection:
            alerts.keep(connection, channel, record)
