"""Dagster's entry: the flows of ``flow_specs/``, as ``workspace.yaml`` names it.

``FLOW_SPECS`` (folder of the specs), ``FLOW_STATE`` (ledger and spool) and ``FLOW_LEDGER`` (database URL) as for the command line.
``FLOW_KEEP_DAYS``: how long Dagster remembers runs and logs (default 30; 0: for ever).
"""

import os
from datetime import timedelta

import dagster as dg

from flow_assets.defs.executor import patient_executor
from flow_assets.defs.flows import load_flows


@dg.definitions
def defs() -> dg.Definitions:
    """Everything: assets, IO managers, the sensor, switched on."""
    flows = load_flows(
        os.environ.get("FLOW_SPECS") or "flow_specs",
        state=os.environ.get("FLOW_STATE") or ".flows",
        ledger=os.environ.get("FLOW_LEDGER") or None,
        sensor_running=True,
        keep_history=timedelta(days=int(os.environ.get("FLOW_KEEP_DAYS") or 30)) or None,
    )
    return dg.Definitions.merge(flows, dg.Definitions(executor=patient_executor))
