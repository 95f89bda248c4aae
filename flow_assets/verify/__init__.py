"""Is what we delivered still there, as we delivered it? Reads a destination back by its reports.

::

    done = verify(line, now=now)
    done.holds, done.findings, done.summary
"""

from flow_assets.verify.findings import Finding, Progress, Verified
from flow_assets.verify.verifying import verify

__all__ = ["Finding", "Progress", "Verified", "verify"]
