"""What is it called in Dagster? Keys of assets, resources and pools, below the prefix that a host project may give."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class Keys:
    """Names of one folder of specs. ``prefix`` keeps two folders apart in one Dagster instance."""

    prefix: tuple[str, ...] = ()

    @classmethod
    def below(cls, prefix: str | Sequence[str] | None) -> "Keys":
        """The names below a prefix, written as Dagster writes key prefixes: one word, or several."""
        return cls((prefix,) if isinstance(prefix, str) else tuple(prefix or ()))

    def deliveries(self, flow: str) -> dg.AssetKey:
        """The asset whose partitions are the flow's intervals."""
        return dg.AssetKey([*self.prefix, "deliveries", flow])

    def events(self, flow: str) -> dg.AssetKey:
        """The asset whose partitions are the flow's event time."""
        return dg.AssetKey([*self.prefix, "flows", flow])

    def source(self, source: str) -> dg.AssetKey:
        """The external asset of an event table."""
        return dg.AssetKey([*self.prefix, "sources", source])

    def pool(self, flow: str) -> str:
        """The pool, of limit 1, that a flow's deliveries and regenerations share."""
        return self._joined("flow", flow)

    def project(self) -> str:
        """The resource that knows specs, state and ledger."""
        return self._joined("flow_project")

    def destination(self, destination: str) -> str:
        """The IO manager that delivers to a destination."""
        return self._joined("delivery", destination)

    def s3(self, destination: str) -> str:
        """The resource that supplies the client of an S3 destination."""
        return self._joined("s3", destination)

    def duckdb(self, source: str) -> str:
        """The resource that supplies connections to a DuckDB source."""
        return self._joined("duckdb", source)

    def sensor(self) -> str:
        """The sensor that requests deliveries."""
        return self._joined("deliveries_due")

    def audits(self) -> str:
        """The op that evaluates the check ``audit`` of all flows."""
        return self._joined("audits")

    def audits_sensor(self) -> str:
        """The sensor that requests audits."""
        return self._joined("audits_due")

    def freshness(self) -> str:
        """The op that evaluates the checks ``freshness`` of all flows and sources."""
        return self._joined("freshness")

    def schemas(self) -> str:
        """The op that evaluates the checks ``schema`` of all flows."""
        return self._joined("schemas")

    def freshness_sensor(self) -> str:
        """The sensor that tells the checks ``freshness`` of all flows."""
        return self._joined("freshness_checked")

    def observations_sensor(self) -> str:
        """The sensor that looks at sources."""
        return self._joined("sources_observed")

    def ingest(self, ingest: str) -> dg.AssetKey:
        """The asset whose table holds what an ingest loaded."""
        return dg.AssetKey([*self.prefix, "ingests", ingest])

    def arrivals(self, destination: str, flow: str) -> dg.AssetKey:
        """The external asset of what somebody else's flow delivers to a destination."""
        return dg.AssetKey([*self.prefix, "destinations", destination, flow])

    def into(self, target: str) -> str:
        """The pool, of limit 1, of all that load into the same DuckDB file, or into the same table."""
        return self._joined("into", target)

    def ingests_sensor(self) -> str:
        """The sensor that requests ingests."""
        return self._joined("ingests_due")

    def model(self, model: str) -> dg.AssetKey:
        """The asset of a model's table."""
        return dg.AssetKey([*self.prefix, "models", model])

    def models_sensor(self) -> str:
        """The sensor that requests builds of models."""
        return self._joined("models_due")

    def alerts_sensor(self) -> str:
        """The sensor that tells people of trouble."""
        return self._joined("alerts_due")

    def retention_sensor(self) -> str:
        """The sensor that forgets what is old."""
        return self._joined("history_trimmed")

    def sensors(self) -> tuple[str, ...]:
        """All of them."""
        requesting = (self.sensor(), self.audits_sensor(), self.ingests_sensor(), self.models_sensor())
        return (*requesting, self.freshness_sensor(), self.observations_sensor(), self.alerts_sensor(), self.retention_sensor())

    def _joined(self, *words: str) -> str:
        return re.sub(r"[^A-Za-z0-9_]", "_", "_".join((*self.prefix, *words)))
