"""How does Dagster deliver? An IO manager per destination: its ``handle_output`` makes what the asset asks for and delivers it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dagster as dg

from flow_assets.defs import clock
from flow_assets.defs.deliveries import Pending
from flow_assets.defs.event_time import touched
from flow_assets.defs.failures import StepError, plain_failures
from flow_assets.defs.keys import Keys
from flow_assets.defs.metadata import Metadata, completeness_metadata, delivery_metadata, in_reading_order, preview_metadata, uri
from flow_assets.defs.partitions import Partitions, first_interval, interval_of_key
from flow_assets.defs.parts import DeliveredParts, delivered_parts, every_delivered_part
from flow_assets.defs.picture import picture_metadata
from flow_assets.defs.resources import FlowProject
from flow_assets.deliver import Delivered, Progress, deliver
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.health import TELLING
from flow_assets.ledger.failures import Failure
from flow_assets.plan.intervals import Interval
from flow_assets.plan.lateness import completeness
from flow_assets.reading import Line
from flow_assets.spec.destination import Destination, S3Destination
from flow_assets.spec.flow import Flow
from flow_assets.spec.specs import Specs

SECONDS_BETWEEN_PROGRESS: Final = 30


class DeliveryIOManager(dg.IOManager):
    """Delivers to one destination, local, S3, sFTP or FTP, and hands what was delivered to downstream assets.

    Args:
        project: specs and ledger.
        keys: the names in Dagster.
        partitions: the definitions that the flows share.
        s3: what supplies the client of an S3 destination: an ``S3Resource``, or a client.
    """

    def __init__(self, project: FlowProject, keys: Keys, partitions: Partitions, s3: Any = None) -> None:
        self._project, self._keys, self._partitions, self._s3 = project, keys, partitions, s3
        self._unanswered: set[str] = set()

    def handle_output(self, context: dg.OutputContext, obj: Pending) -> Iterator[dg.DagsterEvent]:  # type: ignore[override]
        """Deliver one interval after the other. The first that fails ends the step; those before it stay delivered, and are shown."""
        made: dict[Interval, Metadata] = {}
        try:
            with plain_failures(obj.context.retry_number), self._line(obj) as line:
                for interval in obj.intervals:
                    began, is_shown = time.monotonic(), self._is_shown(obj, interval)
                    for piece in self._project.opened.intervals_of(obj.flow.name, interval):
                        delivered = self._deliver(line, obj, piece)
                        yield from self._events(context, self._touched(obj.flow, delivered, is_shown))
                        made[interval] = self._metadata(obj.flow, delivered, time.monotonic() - began)
            _check_refused(obj)
        except (dg.Failure, dg.RetryRequested):
            yield from self._events(context, self._materializations(obj.flow, self._pictured(obj.flow, made)))
            raise
        for interval, metadata in self._pictured(obj.flow, made).items():
            obj.context.add_asset_metadata(metadata, partition_key=interval.key)

    def load_input(self, context: dg.InputContext) -> DeliveredParts:
        """The parts of the intervals that the downstream partition maps to; of everything delivered, if it has no partitions.

        Raises:
            StepError: one of the intervals is not delivered.
        """
        flow = self._project.specs.flows[context.asset_key.path[-1]]
        ledger, open_ = self._project.opened.ledger, lambda: self._project.destination(flow.name, self._s3)
        if not context.has_partition_key:
            return every_delivered_part(ledger, flow.name, open_)
        asked = [interval_of_key(key, flow.cadence) for key in context.asset_partition_keys]
        try:
            return delivered_parts(ledger, flow.name, [interval for interval in asked if interval >= first_interval(flow)], open_)
        except PermanentError as error:
            raise StepError(str(error)) from None

    @contextmanager
    def _line(self, obj: Pending) -> Iterator[Line]:
        """The flow's line. That it cannot be opened is a failure of the first interval: the sensor waits before it asks again."""
        with ExitStack() as stack:
            try:
                self._check_answers(obj.flow)
                line = stack.enter_context(self._project.line(obj.flow.name, obj.connect, self._s3))
            except FlowError as error:
                self._note(obj, error)
                raise
            yield line

    def _check_answers(self, flow: Flow) -> None:
        """A server that is down costs a run two time-outs, not one for each of its flows; those two are retried before the others."""
        others = sorted(self._unanswered - {flow.name})
        if len(others) >= TELLING:
            reason = f"failed {others[0]} and {others[1]} in this run: not tried for {flow.name}"
            error = RetryableError(f"destination {flow.destination} {reason}")
            error.destination = flow.destination
            raise error

    def _note(self, obj: Pending, error: FlowError) -> None:
        for interval in obj.intervals[:1]:
            project, name = self._project.opened, obj.flow.name
            said = str(error), isinstance(error, PermanentError), clock.now()
            failure = Failure(name, interval, 1, *said, destination=error.destination, circumstances=project.circumstances(name))
            project.ledger.record_failure(failure)

    def _deliver(self, line: Line, obj: Pending, interval: Interval) -> Delivered:
        now = clock.now()
        try:
            delivered = deliver(line, interval, now=now, again=obj.again, progress=_progress(obj.context.log.info, interval))
        except FlowError as error:
            if isinstance(error, RetryableError) and error.destination:
                self._unanswered.add(obj.flow.name)
            raise
        except Exception as error:
            line.ledger.record_failure(Failure(obj.flow.name, interval, 1, f"unexpected {type(error).__name__}", False, now))
            raise
        self._unanswered.clear()
        return delivered

    def _metadata(self, flow: Flow, delivered: Delivered, seconds: float) -> Metadata:
        ledger, specs = self._project.opened.ledger, self._project.specs
        last_day = ledger.lateness_all([flow.name])[flow.name]
        complete = completeness(last_day, flow.cadence, ledger.contiguous_until(flow.name, flow.start, flow.cadence))
        said = delivery_metadata(delivered.manifest, delivered.report_path, delivered.outcome, specs, seconds)
        return in_reading_order(said | preview_metadata(delivered.preview) | completeness_metadata(last_day, complete))

    def _pictured(self, flow: Flow, made: dict[Interval, Metadata]) -> dict[Interval, Metadata]:
        """With the picture of the last day, on the newest interval alone, and only if the flow has delivered nothing newer."""
        newest, ledger = max(made, default=None), self._project.opened.ledger
        if newest is None or any(stretch.end > newest.end for stretch in ledger.covered(flow.name)):
            return made
        return made | {newest: picture_metadata(ledger, flow, clock.now()) | made[newest]}

    def _touched(self, flow: Flow, delivered: Delivered, is_shown: bool) -> Iterator[dg.AssetMaterialization]:
        """Events by event time, for rows that Dagster has not been told of."""
        if delivered.outcome in ("delivered", "adopted") or not is_shown:
            yield from touched(delivered.manifest, delivered.report_path, flow, self._keys, self._partitions)

    def _is_shown(self, obj: Pending, interval: Interval) -> bool:
        which = dg.AssetRecordsFilter(self._keys.deliveries(obj.flow.name), asset_partitions=[interval.key])
        return bool(obj.context.instance.fetch_materializations(which, limit=1).records)

    def _materializations(self, flow: Flow, made: Mapping[Interval, Metadata]) -> Iterator[dg.AssetMaterialization]:
        for interval, metadata in made.items():
            yield dg.AssetMaterialization(self._keys.deliveries(flow.name), partition=interval.key, metadata=metadata)

    @staticmethod
    def _events(context: dg.OutputContext, materializations: Iterator[dg.AssetMaterialization]) -> Iterator[dg.DagsterEvent]:
        """Each is shown as soon as it is yielded (what ``log_event`` is told is lost if the step fails)."""
        return (dg.DagsterEvent.asset_materialization(context.step_context, event) for event in materializations)


def _check_refused(obj: Pending) -> None:
    if obj.refused:
        raise StepError(f"flow {obj.flow.name}: not delivered: {'; '.join(obj.refused)}")


def _progress(say: Callable[[str], None], interval: Interval) -> Callable[[Progress], None]:
    """A line in the run's log now and then, while something large is on its way."""
    said = time.monotonic()

    def tell(progress: Progress) -> None:
        nonlocal said
        if time.monotonic() - said >= SECONDS_BETWEEN_PROGRESS:
            said = time.monotonic()
            share = f"{progress.rows:,} of {progress.rows_total:,} rows encoded"
            say(f"{interval.key}: {share}, {progress.parts} parts with {progress.bytes:,} bytes delivered")

    return tell


def delivery_io_manager(spec: Destination, specs: Specs, keys: Keys, partitions: Partitions) -> dg.IOManagerDefinition:
    """The resource ``delivery_<destination>``."""
    s3 = {keys.s3(spec.name)} if isinstance(spec, S3Destination) else set()

    def make(context: dg.InitResourceContext) -> DeliveryIOManager:
        project = getattr(context.resources, keys.project())
        return DeliveryIOManager(project, keys, partitions, *(getattr(context.resources, key) for key in s3))

    return dg.IOManagerDefinition(
        make, required_resource_keys={keys.project()} | s3, description=f"Delivers to {uri(spec, '', specs.project)}"
    )
