"""What does Dagster do about an error? Retry the step after a pause, or fail it at once, with one plain sentence either way.

Destinations try several times already, and the sensor asks again later: so the step itself is retried once, after the run's other steps.

A ``RetryPolicy`` on the asset would do part of this, but it also swallows the termination of a run (the step is tried again instead of
stopped), and hides the sentence behind its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

from flow_assets.errors import BusyError, FlowError, RetryableError

MAX_RETRIES: Final = 1
PAUSE_SECONDS: Final = 10
BUSY_RETRIES: Final = 4
BUSY_PAUSE_SECONDS: Final = 15


class StepError(DagsterUserCodeProcessError, dg.Failure):
    """A step's failure that is shown as its sentence alone, not tried again by Dagster.

    Errors that were serialized in another process are shown as they came, so Dagster adds no stack trace of its own workings to this one.
    """

    def __init__(self, sentence: str) -> None:
        shown = SerializableErrorInfo(f"{sentence}\n", [], "Failure")
        # The arguments of Failure: description, metadata, allow_retries.
        super().__init__(sentence, None, False, user_code_process_error_infos=[shown])  # type: ignore[no-untyped-call]


@contextmanager
def plain_failures(retry_number: int) -> Iterator[None]:
    """Our errors as Dagster's. ``retry_number`` counts the step's earlier attempts.

    Raises:
        dagster.RetryRequested: trying again may help, and was not tried too often.
        StepError: it does not, or was. The sensor asks again later, at growing pauses.
    """
    try:
        yield
    except BusyError as error:
        if retry_number < BUSY_RETRIES:
            raise dg.RetryRequested(BUSY_RETRIES, BUSY_PAUSE_SECONDS) from error
        raise StepError(f"{error} (asked {retry_number + 1} times)") from None
    except RetryableError as error:
        if retry_number < MAX_RETRIES:
            raise dg.RetryRequested(MAX_RETRIES, PAUSE_SECONDS) from error
        raise StepError(f"{error} (tried {retry_number + 1} times; it is tried again later)") from None
    except FlowError as error:
        raise StepError(str(error)) from None
