"""The rooms: imports point one way, and cheap things stay cheap."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
HEAVY = ("dagster", "boto3", "paramiko", "deltalake", "pyarrow")


def test_imports_point_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0, "run lint-imports to see which import is wrong"


def test_importing_the_package_and_the_commands_imports_nothing_heavy() -> None:
    code = f"import flow_assets, flow_assets.cli, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_no_module_grows_past_what_one_can_read() -> None:
    modules = [path for path in ROOT.glob("flow_assets/**/*.py") if "testing" not in path.parts]
    assert {path.name: lines for path in modules if (lines := len(path.read_text().splitlines())) > 320} == {}
