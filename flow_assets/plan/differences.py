"""What will a consumer see differently? Two revisions of one flow, with their sources and destinations, compared key by key.

========================================================= ==================
a column disappears, or is of another type                breaks
a column appears                                          does not
format, delimiter, compression, ``partition_by``          breaks
folder, destination, or where the destination is          breaks
fewer rows, or others: sites, consent, ``where``, source  breaks
more rows                                                 does not
cadence, start, size of files, owners, freshness          does not
========================================================= ==================

Whoever reads files by their reports and columns by name is not harmed by all of it; whoever does not must be told beforehand.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flow_assets.plan.columns import Column, selected_columns
from flow_assets.plan.delivery import delivery_names
from flow_assets.plan.intervals import Interval, ceiling
from flow_assets.plan.partitions import partition_key
from flow_assets.plan.times import format_time
from flow_assets.spec.destination import Destination
from flow_assets.spec.flow import Exclude, Flow, Include
from flow_assets.spec.source import Source

About = Literal["columns", "rows", "format", "files", "place", "name", "cadence", "state", "notes"]
PLACE = ("type", "host", "port", "root", "bucket", "prefix", "endpoint_url")
_STRICTNESS = {False: 0, True: 1, "strict": 2}
_NOTES = ("description", "owners", "freshness", "preview", "heal", "history_start")
_TABLE = ("type", "uri", "table", "model", "s3")


@dataclass(frozen=True)
class Difference:
    """One thing that is another one: in a sentence, with what it was and what it is, as far as there is a value."""

    about: About
    sentence: str
    before: str | None = None
    after: str | None = None
    breaking: bool = False


@dataclass(frozen=True)
class Spoken:
    """A flow as one revision has it, with its source and destination. ``columns`` are its table's; None if nobody could read them."""

    flow: Flow
    source: Source
    destination: Destination
    columns: tuple[Column, ...] | None = None

    @property
    def delivered(self) -> dict[str, str] | None:
        """The columns that it delivers, with their types (empty: not known); None if they are not known."""
        if self.columns is not None:
            return {one.name: one.type for one in selected_columns(self.flow, self.columns, self.source.unavailable)}
        named = self.flow.properties
        return dict.fromkeys(named.include, "") if isinstance(named, Include) else None

    @property
    def example(self) -> tuple[str, str]:
        """The first part and the report of its first interval, below the destination's root."""
        first = ceiling(self.flow.start, self.flow.cadence)
        interval = Interval(first, first + self.flow.cadence)
        names = delivery_names(self.flow, self.destination, interval, 0)
        return names.part(partition_key(self.flow.partition_by, first), 1), names.report("delivery", interval.end, 0)


def differences(before: Spoken, after: Spoken) -> tuple[Difference, ...]:
    """Everything that is another one, what breaks first."""
    found = [
        *_columns(before, after),
        *_rows(before, after),
        *_format(before.flow, after.flow),
        *_place(before, after),
        *_files(before, after),
        *_cadence(before.flow, after.flow),
        *_notes(before, after),
    ]
    return tuple(sorted(found, key=lambda one: not one.breaking))


def _columns(before: Spoken, after: Spoken) -> Iterator[Difference]:
    was, now = before.delivered, after.delivered
    if was is None or now is None:
        yield from _columns_by_specs(before, after)
        return
    for name, type_ in was.items():
        if name not in now:
            yield Difference("columns", f"column `{name}` disappears", _typed(name, type_), None, True)
        elif type_ and now[name] and now[name] != type_:
            yield Difference("columns", f"column `{name}` is of another type", type_, now[name], True)
    for name, type_ in now.items():
        if name not in was:
            yield Difference("columns", f"column `{name}` appears", None, _typed(name, type_))


def _columns_by_specs(before: Spoken, after: Spoken) -> Iterator[Difference]:
    """What the specs alone tell: names that are left out or no longer left out."""
    was, now = _left_out(before), _left_out(after)
    for name in sorted(now - was):
        yield Difference("columns", f"column `{name}` disappears", name, None, True)
    for name in sorted(was - now):
        yield Difference("columns", f"column `{name}` appears", None, name)
    if isinstance(after.flow.properties, Include) and not isinstance(before.flow.properties, Include):
        kept = ", ".join(after.flow.properties.include)
        yield Difference("columns", "all columns but the named ones disappear", "all others", kept, True)
    elif isinstance(before.flow.properties, Include) and not isinstance(after.flow.properties, Include):
        yield Difference("columns", "all other columns appear", ", ".join(before.flow.properties.include), "all others")


def _left_out(spoken: Spoken) -> set[str]:
    properties = spoken.flow.properties
    if isinstance(properties, Include):
        return set()
    return {*spoken.source.unavailable, *(properties.exclude if isinstance(properties, Exclude) else ())}


def _rows(before: Spoken, after: Spoken) -> Iterator[Difference]:
    was, now = before.flow, after.flow
    if _table(before.source) != _table(after.source):
        yield Difference("rows", "rows come from another table", _table(before.source), _table(after.source), True)
    elif was.source != now.source:
        yield Difference("rows", "the source has another name", was.source, now.source)
    if was.sites != now.sites:
        yield _rule("sites", _sites(was), _sites(now), _way(was.sites, now.sites))
    if was.privacy_filter != now.privacy_filter:
        way = "fewer" if _STRICTNESS[now.privacy_filter] > _STRICTNESS[was.privacy_filter] else "more"
        yield _rule("privacy_filter", as_written(was.privacy_filter), as_written(now.privacy_filter), way)
    if was.where != now.where:
        yield _rule("where", was.where or "all rows", now.where or "all rows", _narrower(was.where, now.where))
    if was.deduplicate != now.deduplicate:
        way = _narrower(was.deduplicate, now.deduplicate)
        yield _rule("deduplicate", as_written(was.deduplicate), as_written(now.deduplicate), way)
    for role, column in before.source.columns.model_dump().items():
        if (other := getattr(after.source.columns, role, None)) != column and _matters(role, was, now):
            yield _rule(f"the source's `{role}`", as_written(column), as_written(other), "other")


def _matters(role: str, was: Flow, now: Flow) -> bool:
    """Whether another column in a part of its own makes other rows, or files them elsewhere."""
    if role == "site":
        return was.sites != "all" and now.sites != "all"
    if role == "consent":
        return bool(was.privacy_filter and now.privacy_filter)
    return role in ("event_time", "inserted_at")


def _rule(key: str, was: str, now: str, way: str) -> Difference:
    return Difference("rows", f"{way} rows: {key}", was, now, way != "more")


def _way(was: Any, now: Any) -> str:
    if was == "all" or now == "all":
        return "fewer" if was == "all" else "more"
    return "fewer" if set(now) < set(was) else "more" if set(now) > set(was) else "other"


def _narrower(was: object, now: object) -> str:
    return "fewer" if was is None else "more" if now is None else "other"


def _format(was: Flow, now: Flow) -> Iterator[Difference]:
    old, new = was.format.model_dump(mode="json"), now.format.model_dump(mode="json")
    for key in dict.fromkeys((*old, *new)):
        one, other = old.get(key), new.get(key)
        if one != other and (key == "max_file_bytes" or (key in old and key in new)):
            breaking, what = key != "max_file_bytes", f"format: another {key.replace('_', ' ')}"
            yield Difference("format" if breaking else "files", what, as_written(one), as_written(other), breaking)


def _place(before: Spoken, after: Spoken) -> Iterator[Difference]:
    was, now = _where(before.destination), _where(after.destination)
    if was != now:
        yield Difference("place", "files arrive somewhere else", was, now, True)
    elif before.flow.destination != after.flow.destination:
        yield Difference("notes", "the destination has another name", before.flow.destination, after.flow.destination)
    if before.flow.folder != after.flow.folder:
        yield Difference("place", "another folder", before.flow.folder, after.flow.folder, True)


def _files(before: Spoken, after: Spoken) -> Iterator[Difference]:
    was, now = before.flow, after.flow
    if was.partition_by != now.partition_by:
        yield Difference("files", "files are filed by other partitions of event time", was.partition_by, now.partition_by, True)
    (old_part, old_report), (new_part, new_report) = before.example, _at_the_same_time(before, after).example
    if _without_guid(old_part) != _without_guid(new_part):
        yield Difference("name", "parts have other names", old_part, new_part, True)
    if old_report != new_report:
        yield Difference("name", "reports have other names", old_report, new_report, True)


def _at_the_same_time(before: Spoken, after: Spoken) -> Spoken:
    """What ``after`` would call the files of the interval that ``before`` begins with: a later start or another cadence is no new name."""
    said = {"start": before.flow.start, "every": before.flow.every}
    return Spoken(after.flow.model_copy(update=said), after.source, after.destination)


def _without_guid(path: str) -> str:
    head, _, tail = path.rpartition("/")
    name = tail.partition("data_")
    return f"{head}/{name[0]}data_{name[2].partition('_')[2]}"


def _cadence(was: Flow, now: Flow) -> Iterator[Difference]:
    if was.every != now.every:
        yield Difference("cadence", "delivered at another cadence", was.every, now.every)
    if was.start != now.start:
        earlier = now.start < was.start
        what = "an earlier start: the intervals before become due" if earlier else "a later start: what comes before is no longer due"
        yield Difference("cadence", what, format_time(was.start), format_time(now.start))
    if was.enabled != now.enabled:
        what = "resumed: everything since it was paused becomes due" if now.enabled else "paused: nothing arrives until it is enabled again"
        yield Difference("state", what, as_written(was.enabled), as_written(now.enabled))


def _notes(before: Spoken, after: Spoken) -> Iterator[Difference]:
    for key in _NOTES:
        one, other = getattr(before.flow, key), getattr(after.flow, key)
        if one != other:
            yield Difference("notes", f"another {key.replace('_', ' ')}", as_written(one), as_written(other))
    for kind, was, now, told in (
        ("source", before.source, after.source, {*_TABLE, "columns", "unavailable"}),
        ("destination", before.destination, after.destination, set(PLACE)),
    ):
        old, new = was.model_dump(mode="json", exclude=told), now.model_dump(mode="json", exclude=told)
        keys = [key for key in dict.fromkeys((*old, *new)) if old.get(key) != new.get(key)]
        if keys:
            yield Difference("notes", f"the {kind} `{now.name}` says something else about {', '.join(keys)}")


def _table(source: Source) -> str:
    said = source.model_dump(mode="json", include=set(_TABLE) - {"s3"}, exclude_none=True)
    s3 = getattr(source, "s3", None)
    said |= {"endpoint_url": s3.endpoint_url} if s3 is not None and s3.endpoint_url else {}
    return ", ".join(f"{key} {value}" for key, value in said.items())


def _where(destination: Destination) -> str:
    """Where it is, without anything about how to log in."""
    said: Mapping[str, Any] = destination.model_dump(mode="json", include=set(PLACE))
    return ", ".join(f"{key} {said[key]}" for key in PLACE if said.get(key) not in (None, ""))


def _sites(flow: Flow) -> str:
    return "all" if flow.sites == "all" else ", ".join(str(site) for site in flow.sites)


def _typed(name: str, type_: str) -> str:
    return f"{name} {type_}".rstrip()


def as_written(value: Any) -> str:
    """A value as YAML would have it, for people."""
    if value is None or value == () or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(str(one) for one in value)
    if hasattr(value, "model_dump"):
        said = value.model_dump(mode="json")
        return ", ".join(f"{key} {one}" for key, one in said.items() if one is not None)
    return str(value)
