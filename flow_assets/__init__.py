"""Flows: granular extracts of a huge event table, delivered exactly once, as Dagster assets declared in YAML."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_assets.defs.flows import load_flows

__version__ = "0.1.0"
__all__ = ["__version__", "load_flows"]


def __getattr__(name: str) -> Any:
    """``flow_assets.load_flows``, which needs Dagster: imported when it is asked for, so that nothing else pays for it."""
    if name == "load_flows":
        from flow_assets.defs.flows import load_flows

        return load_flows
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
