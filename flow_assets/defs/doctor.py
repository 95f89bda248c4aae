"""Is Dagster at work? Its home, its daemon, and the sensor that asks for deliveries, as ``flows doctor`` tells."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickStatus

from flow_assets.defs.keys import Keys
from flow_assets.doctor.verdict import Check

SILENT: Final = timedelta(minutes=5)
SENSOR: Final = Keys().sensor()


def dagster(home: Path, now: datetime, ledger_url: str | None = None) -> Iterator[Check]:
    """What is told of the instance in ``DAGSTER_HOME``, beside a ledger in that database, or in a file if none is named."""
    if not home.is_dir():
        yield Check("dagster home", "failed", f"DAGSTER_HOME is {home}, which is no folder — make it, and copy dagster.yaml into it")
        return
    if (home / "dagster.yaml").is_file():
        yield Check("dagster home", "passed", f"{home} holds dagster.yaml")
    else:
        told = f"there is no dagster.yaml in {home}: no pools, no bounds, runs that were killed stay unfinished — copy the project's"
        yield Check("dagster home", "warning", told)
    try:
        opened = dg.DagsterInstance.from_config(str(home))
    except Exception as error:  # noqa: BLE001  # whatever the configuration asks for may be wrong in its own way
        told = (
            f"the instance of {home} cannot be opened: {type(error).__name__} — `dagster instance info` says more"  # and maybe a password
        )
        yield Check("dagster storage", "failed", told)
        return
    with opened as instance:
        if apart := ledger_apart(instance, ledger_url):
            yield Check("shared ledger", "failed", apart)
        yield daemon(instance, now)
        yield from sensors(instance, now)


def ledger_apart(instance: dg.DagsterInstance, ledger_url: str | None) -> str | None:
    """Why machines that share the runs of an instance would each have a ledger of their own; None if they do not."""
    launcher = instance.run_launcher
    is_file = ledger_url is None or ledger_url.startswith("sqlite")
    if not is_file or isinstance(launcher, dg.DefaultRunLauncher | SyncInMemoryRunLauncher):
        return None
    return (
        f"{type(launcher).__name__} executes runs on several machines, but the ledger is a file on each of them: none knows what the others"
        " delivered — name a PostgreSQL database in FLOW_LEDGER, the same for all"
    )


def daemon(instance: dg.DagsterInstance, now: datetime) -> Check:
    """Whether its hearts beat: Dagster itself calls it dead only after half an hour."""
    beats = {name: one.last_heartbeat for name, one in instance.get_daemon_statuses().items() if one.required}
    heard = {name: datetime.fromtimestamp(beat.timestamp, UTC) for name, beat in beats.items() if beat}
    if not heard:
        return Check("dagster daemon", "failed", "it never ran: nothing is asked for — start `dagster-daemon run`")
    silent = sorted(name for name in beats if name not in heard or heard[name] < now - SILENT)
    if not silent:
        return Check("dagster daemon", "passed", f"at work: {', '.join(sorted(beats))}")
    told = f"{', '.join(silent)} not at work, last heard of at {_minute(max(heard.values()))} — start `dagster-daemon run`, or see its log"
    return Check("dagster daemon", "failed", told)


def sensors(instance: dg.DagsterInstance, now: datetime) -> Iterator[Check]:
    """The sensors that ask for deliveries: of each folder of specs one."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    found = [state for state in states if state.name == SENSOR or state.name.endswith(f"_{SENSOR}")]
    if not found:
        yield Check(SENSOR, "warning", "the sensor was never on — load the code location, and switch it on")
    for state in found:
        yield _sensor(instance, state, now)


def _sensor(instance: dg.DagsterInstance, state: InstigatorState, now: datetime) -> Check:
    if state.status == InstigatorStatus.STOPPED:
        return Check(state.name, "failed", "the sensor is switched off: nothing is asked for — switch it on in the UI")
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    if not ticks:
        return Check(state.name, "warning", "the sensor is on, and was not evaluated yet")
    last, at = ticks[0], datetime.fromtimestamp(ticks[0].timestamp, UTC)
    if last.status == TickStatus.FAILURE:
        why = (last.error.message.strip().splitlines() or [""])[0] if last.error else "no reason given"
        return Check(state.name, "failed", f"its evaluation at {_minute(at)} failed: {why} — see the tick in the UI")
    if at < now - SILENT:
        return Check(state.name, "failed", f"the sensor is on, but was last evaluated at {_minute(at)} — restart the daemon")
    return Check(state.name, "passed", f"on, last evaluated at {_minute(at)}")


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
