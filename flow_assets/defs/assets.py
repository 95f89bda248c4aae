"""How is an asset made that a thousand flows have? From its parts: the ``@asset`` decorator takes seven times as long (3 ms, 0.4 ms)."""

import re
from collections.abc import Callable, Collection
from typing import Any

import dagster as dg

INPUT, OUTPUT = "upstream", "result"


def asset(
    spec: dg.AssetSpec,
    compute: Callable[[dg.AssetExecutionContext], Any],
    *,
    pool: str,
    backfill_policy: dg.BackfillPolicy | None = None,
    io_manager_key: str | None = None,
    resource_keys: Collection[str] = (),
    config: dg.Field | None = None,
) -> dg.AssetsDefinition:
    """An asset with upstream assets, which it does not load. What ``compute`` returns goes to the IO manager, if there is one."""
    upstream = {f"{INPUT}{number or ''}": dep.asset_key for number, dep in enumerate(spec.deps)}
    op = dg.OpDefinition(
        name=re.sub(r"[^A-Za-z0-9_]", "_", "__".join(spec.key.path)),
        compute_fn=lambda context, _: iter([dg.Output(compute(context), OUTPUT)]),
        ins=dict.fromkeys(upstream, dg.In(dg.Nothing)),
        outs={OUTPUT: dg.Out(io_manager_key=io_manager_key) if io_manager_key else dg.Out(dg.Nothing)},
        config_schema=config,
        required_resource_keys=set(resource_keys),
        pool=pool,
    )
    return dg.AssetsDefinition(
        node_def=op,
        keys_by_input_name=upstream,
        keys_by_output_name={OUTPUT: spec.key},
        specs=[spec],
        backfill_policy=backfill_policy,
    )
