"""What did a delivery send? The manifest: the machine-readable twin of the report, put beside it as ``….manifest.json``.

The same manifest always gives the same bytes: it holds no clock and nothing random. Keys may be added by later versions and are ignored
here; ``version`` changes only when a meaning does.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    PlainSerializer,
    ValidationError,
)

from flow_assets.errors import PermanentError
from flow_assets.plan.cursors import cursor_from_json, cursor_to_json
from flow_assets.plan.names import Kind
from flow_assets.plan.times import format_time
from flow_assets.spec.flow import PartitionBy

VERSION: Final = 1


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _cursor(value: Any) -> Any:
    return cursor_from_json(value) if isinstance(value, str) else value


def _sorted(format_: dict[str, JsonValue]) -> dict[str, JsonValue]:
    return dict(sorted(format_.items()))


Moment = Annotated[AwareDatetime, AfterValidator(_utc), PlainSerializer(format_time, return_type=str, when_used="json")]
Position = Annotated[
    int | Annotated[AwareDatetime, AfterValidator(_utc)],
    BeforeValidator(_cursor),
    PlainSerializer(cursor_to_json, return_type=int | str, when_used="json"),
]


class _Entry(BaseModel):
    """Frozen; fields that a later version added are ignored when reading."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class IntervalSpan(_Entry):
    """Half-open ``[start, end)``, aware UTC."""

    start: Moment
    end: Moment


class CursorSpan(_Entry):
    """Rows after ``from_`` (None, in regenerations: from the beginning) up to and including ``to``. Versions, or moments (aware UTC)."""

    from_: Position | None = Field(alias="from")
    to: Position


class SchemaColumn(_Entry):
    """A delivered column, in the order of the file."""

    name: str
    type: str


class RetypedColumn(_Entry):
    """A column that was of another type before."""

    name: str
    from_: str = Field(alias="from")
    to: str


class SchemaChanges(_Entry):
    """What of the columns is another one than in the delivery before."""

    added: tuple[SchemaColumn, ...]
    removed: tuple[SchemaColumn, ...]
    changed: tuple[RetypedColumn, ...]


class Rows(_Entry):
    """How many rows were read, and what became of each."""

    read: NonNegativeInt
    written: NonNegativeInt
    excluded_privacy: NonNegativeInt
    excluded_filter: NonNegativeInt
    duplicates: NonNegativeInt

    def balanced(self) -> bool:
        """Whether every row that was read is accounted for."""
        return self.read == self.written + self.excluded_privacy + self.excluded_filter + self.duplicates


class PartitionRows(_Entry):
    """Rows of one partition of event time; late ones belong to a partition that had ended before the interval began."""

    key: str
    rows: NonNegativeInt
    late_rows: NonNegativeInt
    max_lateness_seconds: Annotated[float, Field(allow_inf_nan=False)] | None


class LateRows(_Entry):
    """``rows`` were at most ``seconds`` late, and more than the entry before says. Rows whose event time is unknown are in no entry."""

    seconds: NonNegativeInt
    rows: NonNegativeInt


class File(_Entry):
    """A delivered part; ``path`` is below the destination's root, ``sha256`` hex of the bytes as delivered."""

    path: str
    partition: str
    rows: NonNegativeInt
    bytes: NonNegativeInt
    sha256: str


class Manifest(_Entry):
    """One delivery, or one regeneration, of one flow. ``format`` is the flow's format as the spec gives it.

    A regeneration has a ``span`` of event time; its ``interval`` is what was delivered without a gap by then. Its ``lateness`` is None,
    as is that of deliveries by versions that did not tell it. ``key``, of rows of a model: of rows that are equal in it the last
    delivered one counts. ``schema_changes`` is there only where the columns are not those of the delivery before.
    """

    version: Literal[1] = VERSION
    flow: str
    kind: Kind
    interval: IntervalSpan
    span: IntervalSpan | None = None
    revision: NonNegativeInt
    source: str
    destination: str
    format: Annotated[dict[str, JsonValue], AfterValidator(_sorted)]
    partition_by: PartitionBy
    cursor: CursorSpan
    spec_hash: str
    schema_: tuple[SchemaColumn, ...] = Field(alias="schema")
    rows: Rows
    partitions: tuple[PartitionRows, ...]
    lateness: tuple[LateRows, ...] | None = None
    key: tuple[str, ...] | None = None
    schema_changes: SchemaChanges | None = None
    files: tuple[File, ...]
    supersedes: tuple[str, ...]
    report: str

    def type_of(self, column: str) -> str:
        """The engine's name of a delivered column's type; of a column that was not delivered, that of moments."""
        return next((one.type for one in self.schema_ if one.name.lower() == column.lower()), "TIMESTAMP WITH TIME ZONE")

    def to_json(self) -> bytes:
        """The bytes that are delivered: UTF-8, indented, ending with a line feed; equal manifests give equal bytes."""
        return (json.dumps(self.as_mapping(), indent=1, ensure_ascii=False) + "\n").encode()

    def as_mapping(self) -> dict[str, Any]:
        """As in JSON, by the keys of the contract; without ``key`` and ``schema_changes`` where there are none."""
        absent = {name for name in ("key", "schema_changes") if not getattr(self, name)}
        return self.model_dump(mode="json", by_alias=True, exclude=absent)

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            PermanentError: not a manifest, cut off, or of a version whose meaning is not known here.
        """
        _check_version(data)
        try:
            return cls.model_validate_json(data, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"])
            raise PermanentError(f"not a manifest: {where}: {first['msg']} — put back the file as it was delivered") from None


def _check_version(data: bytes) -> None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise PermanentError("not a manifest: no whole JSON document (cut off?) — put back the file as it was delivered") from None
    version = found.get("version") if isinstance(found, dict) else None
    if type(version) is not int:
        raise PermanentError("not a manifest: it names no version — put back the file as it was delivered")
    if version != VERSION:
        raise PermanentError(f"a manifest of version {version}; this flow_assets reads version {VERSION} — upgrade flow_assets")
