"""What is told now, to whom, and did it arrive? One evaluation of all channels.

What a channel was told is written down only after it took the message: a crash in between has it told again, never not at all.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from urllib.parse import quote

from flow_assets.alerts.conditions import concerning, conditions
from flow_assets.alerts.sending import Sent, send_all
from flow_assets.errors import BusyError
from flow_assets.health import healths
from flow_assets.keep import model_healths
from flow_assets.plan.alerts import Condition, News, Record, news, notice, told
from flow_assets.plan.messages import Link, Message, compose, trial
from flow_assets.project import Project
from flow_assets.spec.alerts import Alerts

Verdict = Literal["told", "failed", "nothing new"]
CLAIM: Final = ".alerts"
"""What is claimed in the ledger, so that two daemons do not tell the same; no flow can have this name."""


@dataclass(frozen=True)
class Outcome:
    """What became of a channel in an evaluation, with a sentence that holds no secret. ``title`` is the first line of what it was told."""

    channel: str
    verdict: Verdict
    sentence: str
    title: str | None = None


def tell(project: Project, now: datetime, prefix: Sequence[str] = (), further: Iterable[Condition] = ()) -> list[Outcome]:
    """Tell every channel what is new for it.

    ``prefix`` goes before asset keys; ``further`` conditions are beside those of flows and sources.

    Raises:
        BusyError: another process is at it.
        PermanentError, RetryableError: the ledger cannot be read or written.
    """
    alerts = project.specs.alerts
    if alerts is None:
        return []
    with ExitStack() as held:
        try:
            held.enter_context(project.ledger.claim(CLAIM, "alerts"))
        except BusyError:
            raise BusyError("another process is telling the channels of alerts.yaml right now — nothing is to be done") from None
        return _tell(project, alerts, now, pages(alerts.ui, prefix), further)


def pages(ui: str | None, prefix: Sequence[str] = ()) -> Link:
    """Where the assets of flows, models and sources are shown, in the Dagster UI at an address."""

    def page(about: str) -> str | None:
        kind, name = about.split(" ", 1)
        key = (*prefix, {"flow": "deliveries", "model": "models", "source": "sources"}[kind], name)
        return f"{ui.rstrip('/')}/assets/{'/'.join(quote(part, safe='') for part in key)}" if ui else None

    return page


def try_out(alerts: Alerts, now: datetime, environ: Mapping[str, str] | None = None) -> list[Outcome]:
    """Send every channel a message that says it is a test."""
    return _outcomes({name: trial(name, now) for name in alerts.channels}, alerts, now, environ)


def _tell(project: Project, alerts: Alerts, now: datetime, link: Link, further: Iterable[Condition]) -> list[Outcome]:
    ledger, specs = project.ledger, project.specs
    found = [*conditions(specs, healths(project, now), ledger.watch.observations(), model_healths(project, now).values()), *further]
    records = ledger.watch.alerts()
    for name in records.keys() - alerts.channels.keys():
        ledger.watch.keep_alerts(name, {})
    kept: dict[str, Record] = {}
    to_tell: dict[str, list[News]] = {}
    for name, channel in alerts.channels.items():
        its = {one.about: one for one in concerning(channel, specs, found)}
        before = _of_its_concern(records.get(name, {}), its, found)
        kept[name] = notice(its, before, now)
        if kept[name] != records.get(name, {}):
            ledger.watch.keep_alerts(name, kept[name])
        to_tell[name] = news(its, kept[name], alerts.after, now)
    messages = {name: compose(some, link, now) for name, some in to_tell.items() if some}
    done = _outcomes(messages, alerts, now, project.environ)
    for one in done:
        if one.verdict == "told":
            ledger.watch.keep_alerts(one.channel, told(kept[one.channel], to_tell[one.channel]))
    return done


def _of_its_concern(record: Record, its: Mapping[str, Condition], found: Iterable[Condition]) -> Record:
    """A channel's record without what is there but is told to others now."""
    of_others = {one.about for one in found} - its.keys()
    return {about: line for about, line in record.items() if about not in of_others}


def _outcomes(messages: Mapping[str, Message], alerts: Alerts, now: datetime, environ: Mapping[str, str] | None) -> list[Outcome]:
    sent = send_all(messages, alerts.channels, now, environ)
    return [_outcome(name, messages.get(name), sent.get(name)) for name in alerts.channels]


def _outcome(name: str, message: Message | None, sent: Sent | None) -> Outcome:
    if message is None or sent is None:
        return Outcome(name, "nothing new", "")
    return Outcome(name, "told", sent.sentence, message.title) if sent.taken else Outcome(name, "failed", sent.sentence)
