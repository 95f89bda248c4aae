"""What do all tests share? The servers they start (``tests/servers/``) and Dagster's instance, each only when a test asks for it."""

import os

import pytest
from alembic.script import ScriptDirectory
from hypothesis.internal.conjecture import providers

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
# Hypothesis would draw from the constants of whatever is imported by then: a seed would mean something else after other tests.
providers._get_local_constants = lambda: providers._local_constants

# Dagster marks each new storage as migrated, for which all of its migrations are read: that need not be done for every test.
_read, _known = ScriptDirectory.from_config, {}
ScriptDirectory.from_config = lambda config: _known.setdefault(config.get_main_option("script_location"), _read(config))

SERVERS = ("postgres", "redis", "s3", "sftp", "ftp")
pytest_plugins = [*(f"tests.servers.{name}" for name in SERVERS), "tests.dagster_instance"]


LONGEST = (
    "test_several_machines.py",
    "test_defs_daemon.py",
    "test_life.py",
    "test_defs_browser.py",
    "test_demo_run.py",
    "test_kill.py",
    "test_web_models_reproduce.py",
    "test_models_random.py",
    "test_models.py",
    "test_ingest_order.py",
    "test_demo.py",
    "test_docs.py",
)
"""What takes minutes begins first, so that no worker is left with it in the end when the others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With FLOW_FAIL_ON_SKIP a skipped test fails the run: what cannot run is not proved."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("FLOW_FAIL_ON_SKIP") and skipped and session.exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"FLOW_FAIL_ON_SKIP: {len(skipped)} tests were skipped", red=True)
        for report in skipped:
            reporter.write_line(f"  {report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
