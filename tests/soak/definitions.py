"""Dagster's entry in the soak: our own definitions, with a clock that runs faster and pauses that are as much shorter."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from flow_assets import definitions
from flow_assets.defs import alerts_due, clock, failures, freshness, observations, runs, sensors
from flow_assets.destinations import retry
from flow_assets.ledger.failures import Failure
from tests.soak.compressed import compressed, factor, now, real

cut_off = runs.cut_off


def cut_off_in_compressed_time(instance: Any, flows: Any, keys: Any, since: datetime, told: Iterable[Failure] = ()) -> list[Failure]:
    """Runs carry real times, failures ours."""
    found = cut_off(instance, flows, keys, real(since), [replace(one, at=real(one.at)) for one in told])
    return [replace(one, at=compressed(one.at)) for one in found]


clock.now = now
sensors.cut_off = cut_off_in_compressed_time  # type: ignore[attr-defined]
for sensor in (alerts_due, freshness, observations, sensors):
    sensor.SECONDS_BETWEEN_EVALUATIONS = max(2, round(sensor.SECONDS_BETWEEN_EVALUATIONS / factor()))  # type: ignore[misc]
failures.PAUSE_SECONDS = failures.BUSY_PAUSE_SECONDS = 1  # type: ignore[misc]
retry._FIRST_PAUSE = 1 / factor()
defs = definitions.defs
