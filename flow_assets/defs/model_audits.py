"""Does a model hold what its source gave? Its check ``audit``: the source is recounted by the manifest of what was taken up.

With ``compare: true`` in the launchpad its rows are also compared with those of a table made anew, which takes as long as making it.
"""

from typing import Any, Final

import dagster as dg

from flow_assets.audit import LAST
from flow_assets.defs.keys import Keys
from flow_assets.defs.resources import FlowProject
from flow_assets.errors import FlowError, RetryableError
from flow_assets.models.checking import check
from flow_assets.spec.models import Model
from flow_assets.spec.source import DuckDBSource
from flow_assets.spec.specs import Specs

CHECK: Final = "audit"
MAX_SHOWN: Final = 20
LAST_BESIDE_BUILDS: Final = 2
"""Builds that are recounted in a run that builds, so by hand: who waits for a table does not want to wait for a day's recount."""
OF_MODEL: Final = (
    f"Recounts the source against what was taken up: the last {LAST} builds. `compare: true` in the launchpad: also compares the rows with "
    "those of a table made anew."
)
CONFIG: Final = {
    "compare": dg.Field(bool, default_value=False, description="Of models: compare all rows with a table made anew, which takes as long.")
}


def model_result(context: Any, specs: Specs, model: Model, keys: Keys) -> dg.AssetCheckEvaluation:
    """A failure of one must not keep the others from being audited."""
    told: dict[str, Any] = {"asset_key": keys.model(model.name), "check_name": CHECK}
    resources, source = context.op_execution_context.resources, getattr(model, "source", None)
    project: FlowProject = getattr(resources, keys.project())
    duckdb = getattr(resources, keys.duckdb(source)) if source and isinstance(specs.sources[source], DuckDBSource) else None
    compare = bool(context.op_execution_context.op_config["compare"])
    try:
        keeping = project.opened.keeping(model.name, duckdb.get_connection if duckdb else None)
        last = LAST_BESIDE_BUILDS if context.op_execution_context.run.asset_selection else LAST
        found = check(keeping, None if compare else last, compare)
    except FlowError as error:
        severity = dg.AssetCheckSeverity.WARN if isinstance(error, RetryableError) else dg.AssetCheckSeverity.ERROR
        return dg.AssetCheckEvaluation(**told, passed=False, severity=severity, description=str(error), metadata={})
    compared = "" if found.rows is None else f", {found.rows:,} rows compared with a table made anew"
    verdict = "they differ" if found.differences else "everything holds"
    shown = [f"- {one}" for one in found.differences[:MAX_SHOWN]]
    more = len(found.differences) - len(shown)
    rest = [f"- … and {more} more: `flows audit {model.name}` lists them"] if more else []
    return dg.AssetCheckEvaluation(
        **told,
        passed=not found.differences,
        severity=dg.AssetCheckSeverity.ERROR,
        description="\n".join([f"{found.entries:,} builds recounted{compared}: {verdict}.", *shown, *rest]),
        metadata={
            "builds": found.entries,
            "differences": len(found.differences),
            **({} if found.rows is None else {"rows_compared": found.rows}),
        },
    )
