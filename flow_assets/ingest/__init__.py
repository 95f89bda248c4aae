"""The consumer's side: loads what delivery reports list into a table, each report once, honouring what later ones supersede.

::

    with open_target("events.duckdb", "events", spool) as target:
        done = ingest("shop_feed", "flat", "myFolder", destination, target)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_assets.ingest.loading import Ingested, Loaded, ingest
    from flow_assets.ingest.opening import open_target

__all__ = ["Ingested", "Loaded", "ingest", "open_target"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: the command line names this package without needing the engine."""
    if name == "open_target":
        from flow_assets.ingest.opening import open_target

        return open_target
    if name in __all__:
        from flow_assets.ingest import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
