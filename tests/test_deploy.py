"""The files of ``deploy/`` are what the programs that read them expect."""

import ast
import re
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from flow_assets.defs.doctor import ledger_apart

ROOT = Path(__file__).parent.parent
COMPOSE, KUBERNETES = ROOT / "deploy/compose", ROOT / "deploy/kubernetes"


def loaded(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def test_dagster_accepts_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://flows:x@127.0.0.1/dagster")
    monkeypatch.setenv("FLOW_BROKER", "redis://127.0.0.1:1/0")
    (tmp_path / "dagster.yaml").write_text((COMPOSE / "dagster.yaml").read_text())
    settings, _ = dagster_instance_config(str(tmp_path))
    ours, single = dict(settings), loaded(ROOT / "dagster.yaml")
    assert set(ours) == set(single) | {"storage", "run_launcher"}
    assert {key: ours[key] for key in single} == single


def test_containers_are_started_with_what_the_image_has() -> None:
    services = loaded(COMPOSE / "compose.yaml")["services"]
    own = {name: service for name, service in services.items() if service["image"] == "flow-assets"}
    assert set(own) == {"code", "webserver", "daemon", "worker"}
    programs = {service["command"][0] for service in own.values()}
    assert all((Path(sys.executable).parent / program).is_file() for program in programs)
    assert all({"DAGSTER_POSTGRES_URL", "FLOW_LEDGER", "FLOW_BROKER"} <= set(service["environment"]) for service in own.values())
    assert all(service["ports"] == ["127.0.0.1:3000:3000"] for service in services.values() if "ports" in service)


def test_the_image_is_built_from_files_that_are_there() -> None:
    lines = (COMPOSE / "Dockerfile").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    host, port = (loaded(COMPOSE / "workspace.yaml")["load_from"][0]["grpc_server"][key] for key in ("host", "port"))
    assert loaded(COMPOSE / "compose.yaml")["services"][host]["command"][-3:] == [str(port), "-m", "flow_assets.definitions"]


def test_no_secret_stands_in_a_file() -> None:
    example = (COMPOSE / ".env.example").read_text()
    assert re.findall(r"^(\w+)=(.+)$", example, re.MULTILINE) == []
    assert {"POSTGRES_PASSWORD", "REDIS_PASSWORD"} <= set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert (COMPOSE / ".gitignore").read_text().split() == [".env"]
    ast.parse((COMPOSE / "dagster_celery_config.py").read_text())


def test_kubernetes_bounds_runs_and_pools_as_one_machine_does() -> None:
    values, single = loaded(KUBERNETES / "values.yaml"), loaded(ROOT / "dagster.yaml")
    pools = values["concurrency"]["pools"]
    assert (pools["granularity"], pools["defaultLimit"]) == ("op", single["concurrency"]["pools"]["default_limit"])
    limits = [limit["key"] for limit in values["concurrency"]["runs"]["tagConcurrencyLimits"]]
    assert limits == [limit["key"] for limit in single["concurrency"]["runs"]["tag_concurrency_limits"]]
    [code] = values["dagster-user-deployments"]["deployments"]
    assert code["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert code["env"]["FLOW_STATE"] == code["volumeMounts"][0]["mountPath"]


def test_a_ledger_in_a_file_is_refused_where_runs_leave_the_machine(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "run_launcher: {module: dagster_celery.launcher, class: CeleryRunLauncher, config: {broker: 'redis://127.0.0.1:1/0'}}"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert "CeleryRunLauncher executes runs on several machines" in str(ledger_apart(instance, None))
        assert "FLOW_LEDGER" in str(ledger_apart(instance, "sqlite:////srv/ledger.db"))
        assert ledger_apart(instance, "postgresql://flows@db/ledger") is None
    with dg.DagsterInstance.ephemeral() as alone:
        assert ledger_apart(alone, None) is None
