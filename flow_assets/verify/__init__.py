"""Is what we delivered still there, as we delivered it? Reads a destination back by its reports.

::

    done = verify(line, now=now)
    done.holds, done.findings, done.summary
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_assets.verify.findings import Finding, Progress, Verified
    from flow_assets.verify.verifying import verify

__all__ = ["Finding", "Progress", "Verified", "verify"]


def __getattr__(name: str) -> Any:
    """Imported when asked for: the command line names this package without needing the engine."""
    if name == "verify":
        from flow_assets.verify.verifying import verify

        return verify
    if name in __all__:
        from flow_assets.verify import findings

        return getattr(findings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
