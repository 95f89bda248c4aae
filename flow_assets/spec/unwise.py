"""What works but is unwise? Warnings; they stop nothing."""

from collections.abc import Iterator

from flow_assets.errors import Problem
from flow_assets.spec.alerts import Mail
from flow_assets.spec.destination import Destination, FtpDestination, SftpDestination
from flow_assets.spec.source import DeltaSource
from flow_assets.spec.specs import Specs


def warnings(specs: Specs) -> tuple[Problem, ...]:
    """Warnings about valid specs, sorted by file and line."""
    return tuple(
        sorted(
            (
                *_in_the_clear(specs),
                *_without_effect(specs),
                *_large_files(specs),
                *_hasty_freshness(specs),
                *_mixed_up(specs),
                *_shared_folders(specs),
                *_unsaid(specs),
                *_unasked(specs),
                *_unused(specs),
                *_unwise_alerts(specs),
            )
        )
    )


def _in_the_clear(specs: Specs) -> Iterator[Problem]:
    for name, destination in specs.destinations.items():
        if isinstance(destination, FtpDestination) and destination.tls == "none":
            advice = "write `tls: explicit` if the server can"
            yield specs.origins["destination", name].problem(("tls",), "password and data travel in the clear", advice, "warning")


def _without_effect(specs: Specs) -> Iterator[Problem]:
    for name, source in specs.sources.items():
        if isinstance(source, DeltaSource) and source.settle is not None:
            message = "has no effect on a delta source, whose commits are visible at once"
            yield specs.origins["source", name].problem(("settle",), message, "remove it", "warning")


def _large_files(specs: Specs) -> Iterator[Problem]:
    for name, flow in specs.flows.items():
        destination = specs.destinations[flow.destination]
        if isinstance(destination, SftpDestination | FtpDestination) and flow.every in ("60m", "1d"):
            message = f"a delivery every {flow.every} makes large files for a server of type {destination.type}"
            yield specs.origins["flow", name].problem(("every",), message, "15m or 30m keeps files small", "warning")


def _hasty_freshness(specs: Specs) -> Iterator[Problem]:
    for name, flow in specs.flows.items():
        if flow.freshness and flow.freshness.fail_after <= flow.cadence:
            message = f"is not longer than the cadence ({flow.every}), so it fails between any two deliveries"
            yield specs.origins["flow", name].problem(("freshness", "fail_after"), message, "write at least twice the cadence", "warning")


def _mixed_up(specs: Specs) -> Iterator[Problem]:
    """Flows whose files another flow's reader would take for its own, since all names begin alike."""
    begins = sorted((_beginning(specs, name), name) for name in specs.flows)
    for number, (beginning, name) in enumerate(begins):
        for other, other_name in begins[number + 1 :]:
            if not other.startswith(beginning):
                break
            message = f"everything it delivers also begins like the files of the flow `{name}`"
            advice = "give one of them another folder, so that a reader by prefix cannot mix them up"
            yield specs.origins["flow", other_name].problem(("folder",), message, advice, "warning")


def _shared_folders(specs: Specs) -> Iterator[Problem]:
    """Flows that deliver into one folder: whoever is let into it for one of them finds the others' files too."""
    places = {name: _place(destination) for name, destination in specs.destinations.items()}
    first: dict[tuple[str, str], str] = {}
    for name, flow in specs.flows.items():
        other = first.setdefault((places[flow.destination], flow.folder), name)
        if other != name and not _alike(_beginning(specs, name), _beginning(specs, other)):
            message = f"the flow `{other}` delivers into this folder too, so whoever reads it finds the files of both"
            yield specs.origins["flow", name].problem(("folder",), message, f"give each its own, such as `{flow.folder}/{name}`", "warning")


def _alike(beginning: str, other: str) -> bool:
    """Whether one begins with the other: then it is told already that they are mixed up."""
    return beginning.startswith(other) or other.startswith(beginning)


def _unsaid(specs: Specs) -> Iterator[Problem]:
    for name, flow in specs.flows.items():
        origin = specs.origins["flow", name]
        if not flow.description:
            yield origin.problem(("description",), "is missing, so nobody knows what it is for", "say it in a sentence", "warning")
        if not flow.owners:
            yield origin.problem(("owners",), "is missing, so nobody is asked when it fails", 'write `owners: ["team:name"]`', "warning")


def _unasked(specs: Specs) -> Iterator[Problem]:
    """Flows that deliver all there is, also of visitors who did not consent. A source that has no personal columns can say so."""
    for name, flow in specs.flows.items():
        source = specs.sources[flow.source]
        if flow.properties != "all" or flow.privacy_filter or source.sensitive == ():
            continue
        origin = specs.origins["flow", name]
        if source.columns.consent:
            message = "all properties are delivered, also of visitors who did not consent"
            yield origin.problem(("privacy_filter",), message, "write `privacy_filter: true`, or name the `properties`", "warning")
        else:
            message = f"all are delivered, and `{flow.source}` cannot tell who consented"
            advice = f"name them, or write `sensitive: []` into sources/{flow.source}.yaml if none is about persons"
            yield origin.problem(("properties",), message, advice, "warning")


def _unused(specs: Specs) -> Iterator[Problem]:
    used = {*(flow.destination for flow in specs.flows.values()), *(ingest.destination for ingest in specs.ingests.values())}
    for name in specs.destinations:
        if name not in used:
            yield specs.origins["destination", name].problem((), "no flow delivers here", "remove the file if none will", "warning")


def _unwise_alerts(specs: Specs) -> Iterator[Problem]:
    owners = {owner for flow in specs.flows.values() for owner in flow.owners}
    for name, channel in specs.alerts.channels.items() if specs.alerts else ():
        origin, path = specs.origins["alerts", "alerts"], ("channels", name)
        if isinstance(channel, Mail) and channel.tls == "none" and channel.password:
            advice = "write `tls: starttls` if the server can"
            yield origin.problem((*path, "tls"), "password and messages travel in the clear", advice, "warning")
        for number, owner in enumerate(channel.owners):
            if owner not in owners:
                advice = "write it as the flows do, or remove it"
                yield origin.problem((*path, "owners", number), "no flow has this owner", advice, "warning")


def _beginning(specs: Specs, name: str) -> str:
    """How every path of a flow begins, with the place it is in."""
    flow = specs.flows[name]
    destination = specs.destinations[flow.destination]
    return f"{_place(destination)}\n{flow.folder}/{name}{'_' if destination.type in ('sftp', 'ftp') else '/'}"


def _place(destination: Destination) -> str:
    """Where files go, whatever the destination is called."""
    place = destination.model_dump(mode="json", include={"type", "host", "port", "root", "bucket", "prefix", "endpoint_url"})
    return str(sorted(place.items()))
