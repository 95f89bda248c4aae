"""How old may the newest become? Said alike of what a flow delivers and of what a source receives."""

from datetime import timedelta

from pydantic import Field, ValidationInfo, field_validator

from flow_assets.spec.base import Strict
from flow_assets.spec.durations import Duration

_SHORTEST = timedelta(minutes=1)


class Freshness(Strict):
    """How old the newest delivery of a flow, or the newest insertion into a source, may become."""

    warn_after: Duration | None = Field(default=None, description="Warn when there was nothing new for this long.", examples=["30m"])
    fail_after: Duration = Field(description="Fail when there was nothing new for this long.", examples=["60m"])

    @field_validator("warn_after", "fail_after")
    @classmethod
    def _a_minute_at_least(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value < _SHORTEST:
            raise ValueError("is shorter than a minute — write 1m or more")
        return value

    @field_validator("fail_after")
    @classmethod
    def _after_the_warning(cls, value: timedelta, info: ValidationInfo) -> timedelta:
        warn_after = info.data.get("warn_after")
        if warn_after is not None and warn_after >= value:
            raise ValueError("is not longer than `warn_after` — warn first, fail later")
        return value
