"""A model tells how it is: a check for its age, one that recounts its source, and alerts when it fails or nobody builds it."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from flow_assets.alerts.telling import tell
from flow_assets.defs.audits import PERIOD
from flow_assets.errors import PermanentError
from flow_assets.keep import keep, model_healths
from tests.model_world import QUARTER, World, event, world
from tests.servers.webhook import WebhookServer, webhook
from tests.test_defs_models import definitions, materialize

PEOPLE = (
    "type: aggregate\nsource: events\nkey: who\ncolumns: {events: count, pages: {count_distinct: page}}\n"
    "owners: ['team:growth']\nfreshness: {warn_after: 30m, fail_after: 60m}"
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with webhook() as running:
        yield running


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, "delta", people=PEOPLE) as found:
        found.insert(event("1"), event("2", who="bob"))
        yield found


def sensor(defs: dg.Definitions, instance: dg.DagsterInstance, name: str, cursor: str | None = None) -> Any:
    project = {"flow_project": (defs.resources or {})["flow_project"]}
    with dg.build_sensor_context(instance=instance, definitions=defs, resources=project, cursor=cursor) as context:
        return defs.resolve_sensor_def(name).evaluate_tick(context)


def audited(defs: dg.Definitions, instance: dg.DagsterInstance, **config: Any) -> dg.AssetCheckEvaluation:
    """The check ``audit``, as the sensor asks for it, or as somebody does in the launchpad."""
    wanted = dg.AssetCheckKey(dg.AssetKey(["models", "people"]), "audit")
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection={wanted})
    (found,) = job.execute_in_process(
        instance=instance, run_config={"ops": {"audits": {"config": config}}} if config else None
    ).get_asset_check_evaluations()
    return found


def test_freshness_is_a_policy_and_a_check_on_the_newest_interval_that_was_built(
    made: World, instance: dg.DagsterInstance, at: Callable
) -> None:
    defs = definitions(made)
    spec = defs.resolve_asset_graph().get(dg.AssetKey(["models", "people"])).to_asset_spec()
    window = {"fail_window": timedelta(hours=1), "warn_window": timedelta(minutes=30)}
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(**window)
    at(made.boundary)
    assert materialize(defs, instance, ["people"], 0, 0).success
    told = []
    for quarters in (0, 3, 5):
        at(made.boundary + quarters * QUARTER)
        (found,) = (one for one in sensor(defs, instance, "freshness_checked").asset_events if one.asset_key.path == ["models", "people"])
        told.append((found.passed, found.severity, found.metadata["state"].value))
    error, warn = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
    assert told == [(True, warn, "healthy"), (False, warn, "healthy"), (False, error, "behind")]


def test_the_audit_recounts_the_source_and_compares_with_a_table_made_anew_on_demand(
    made: World, instance: dg.DagsterInstance, at: Callable
) -> None:
    defs = definitions(made)
    at(made.boundary)
    assert materialize(defs, instance, ["people"], 0, 0).success
    assert (audited(defs, instance).passed, audited(defs, instance).metadata["builds"].value) == (True, 1)
    with duckdb.connect(str(made.folder / "warehouse.duckdb")) as engine:
        engine.execute("UPDATE flows.\"rows_main.people\" SET events = 7 WHERE who = 'ann'")
    assert audited(defs, instance).passed, "a recount does not look at the table"
    found = audited(defs, instance, compare=True)
    assert (found.passed, found.metadata["rows_compared"].value) == (False, 2)
    assert "of 2 rows 1 are not what all events give" in str(found.description)
    with duckdb.connect(str(made.folder / "warehouse.duckdb")) as engine:
        engine.execute("UPDATE flows.manifest SET rows_read = 3")
    found = audited(defs, instance)
    assert not found.passed
    assert "3 rows were taken up, the source has 2 now" in str(found.description)
    (made.folder / "warehouse.duckdb").write_text("not a database" * 1000)
    assert not audited(defs, instance).passed


def test_every_model_is_audited_once_in_a_period(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    defs = definitions(made)
    at(made.boundary)
    cursor = sensor(defs, instance, "audits_due").cursor
    at(made.boundary + PERIOD)
    (request,) = sensor(defs, instance, "audits_due", cursor).run_requests
    assert request.asset_check_keys == [dg.AssetCheckKey(dg.AssetKey(["models", "people"]), "audit")]


def test_a_model_that_fails_and_one_that_nobody_builds_are_told_to_their_owners(made: World, server: WebhookServer) -> None:
    feed = "source: events\ndestination: there\nfolder: x\nformat: {type: csv}\nevery: 15m\nstart: 2030-01-01T00:00:00Z\n"
    made.write("flows/some_feed", feed)
    made.write("destinations/there", "type: local\nroot: delivered\n")
    concern = ["owners: ['team:growth']", "flows: all", "owners: ['team:other']", "flows: [some_feed]"]
    lines = [f"  {name}: {{type: webhook, url: '{server.url(f'/{name}')}', {which}}}" for name, which in zip("abcd", concern, strict=True)]
    made.write("alerts.yaml", "\n".join(["ui: https://dagster.example.com", "after: 0s", "channels:", *lines, ""]))
    made.reload()
    keep(made.project, "people", made.boundary, made.boundary)
    tell(made.project, made.boundary)
    assert server.posted == []
    made.model("people", PEOPLE.replace("{events: count,", "{events: count, last: {max: at},"))
    made.reload()
    now = made.boundary + QUARTER
    for attempt in range(2):
        with pytest.raises(PermanentError):
            keep(made.project, "people", now, now + attempt * QUARTER)
        tell(made.project, now + attempt * QUARTER)
    assert {one["title"] for one in server.posted} == {
        "model people is failing since 2026-01-01 00:30 UTC: its spec says something else about its rows than when its table was made"
    }
    assert model_healths(made.project, now + QUARTER)["people"].since == now, "since the first attempt"
    assert sorted(server.paths) == ["POST /a", "POST /b"], "the owners' channel and that of all, once each"
    assert server.posted[0]["changes"][0]["url"] == "https://dagster.example.com/assets/models/people"
    keep(made.project, "people", now, now, refresh=True)
    tell(made.project, now + QUARTER)
    assert {one["title"] for one in server.posted[2:]} == {"model people is well again; it was failing for 15m, since 2026-01-01 00:30 UTC"}
    later = now + 8 * QUARTER
    tell(made.project, later)
    assert server.posted[-1]["title"] == "model people is behind since 2026-01-01 00:30 UTC: nobody builds it"
    assert "`flows build people` takes up all of it at once" in server.posted[-1]["text"]


def test_a_paused_model_is_neither_late_nor_told(made: World) -> None:
    made.model("people", f"{PEOPLE}\nenabled: false")
    made.reload()
    found = model_healths(made.project, made.boundary + 100 * QUARTER)["people"]
    assert (found.state, found.level) == ("paused", "fresh")
