"""Flows: granular extracts of a huge event table, delivered exactly once, as Dagster assets declared in YAML."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_assets.defs.components import FlowComponent, FlowSpecsComponent
    from flow_assets.defs.flows import load_flows

__version__ = "0.1.0"
__all__ = ["FlowComponent", "FlowSpecsComponent", "__version__", "load_flows"]

_OF_DAGSTER = {"load_flows": "flows", "FlowComponent": "components", "FlowSpecsComponent": "components"}


def __getattr__(name: str) -> Any:
    """What needs Dagster: imported when it is asked for, so that nothing else pays for it."""
    if name in _OF_DAGSTER:
        from importlib import import_module

        return getattr(import_module(f"flow_assets.defs.{_OF_DAGSTER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Also what is imported when asked for: `dg` looks for components here."""
    return sorted({*globals(), *__all__})
