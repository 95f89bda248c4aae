"""What does Dagster do about an error? Retry the step after a pause, or fail it at once, with one plain sentence either way.

Destinations try several times already, and the sensor asks again later: so the step itself is retried once, after the run's other steps.

A ``RetryPolicy`` on the asset would do part of this, but it also swallows the termination of a run (the step is tried again instead of
stopped), and hides the sentence behind its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg

from flow_assets.errors import BusyError, FlowError, RetryableError

MAX_RETRIES: Final = 1
PAUSE_SECONDS: Final = 10
BUSY_RETRIES: Final = 4
BUSY_PAUSE_SECONDS: Final = 15


@contextmanager
def plain_failures(retry_number: int) -> Iterator[None]:
    """Our errors as Dagster's. ``retry_number`` counts the step's earlier attempts.

    Raises:
        dagster.RetryRequested: trying again may help, and was not tried too often.
        dagster.Failure: it does not, or was. The sensor asks again later, at growing pauses.
    """
    try:
        yield
    except BusyError as error:
        if retry_number < BUSY_RETRIES:
            raise dg.RetryRequested(BUSY_RETRIES, BUSY_PAUSE_SECONDS) from error
        raise dg.Failure(f"{error} (asked {retry_number + 1} times)", allow_retries=False) from None
    except RetryableError as error:
        if retry_number < MAX_RETRIES:
            raise dg.RetryRequested(MAX_RETRIES, PAUSE_SECONDS) from error
        raise dg.Failure(f"{error} (tried {retry_number + 1} times; it is tried again later)", allow_retries=False) from None
    except FlowError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
