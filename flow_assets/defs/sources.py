"""Which event tables do flows read? External assets: Dagster shows them and what hangs off them, and makes nothing."""

import dagster as dg

from flow_assets.defs import describe
from flow_assets.defs.columns import source_columns
from flow_assets.defs.keys import Keys
from flow_assets.spec.source import ModelSource, Source
from flow_assets.spec.specs import Specs


def source_asset(specs: Specs, source: Source, keys: Keys) -> dg.AssetSpec:
    """The external asset ``sources/<source>``."""
    return dg.AssetSpec(
        keys.source(source.name),
        deps=[keys.model(source.model)] if isinstance(source, ModelSource) else [],
        description=describe.source_description(source),
        kinds={describe.SOURCE_KINDS[source.type]},
        group_name="sources",
        metadata={
            "dagster/uri": source.uri if "://" in source.uri else f"file://{specs.project / source.uri}",
            **source_columns(specs, source),
            **describe.code_reference(specs, "source", source.name),
        },
    )
