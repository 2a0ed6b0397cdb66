"""A dashboard that really runs, and Debian's Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

VARIABLE = "SERVECAST_E2E"
HERE = Path(__file__).parent
SCENARIO = HERE.parent / "data/scenarios/dashboard.yaml"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_PATIENCE_S = 60.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = None
    if VARIABLE not in os.environ:
        reason = f"needs a browser: `make test-e2e` ({VARIABLE} is not set)"
    elif CHROMIUM is None:
        reason = "needs Debian's packages chromium and chromium-driver"
    for item in items:
        if reason and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from simulator.run.simulate import simulate
    from simulator.scenario.load import load_scenario

    folder = tmp_path_factory.mktemp("runs")
    simulate(load_scenario(SCENARIO), folder)
    return folder


@pytest.fixture(scope="session")
def server(runs: Path) -> Iterator[str]:
    """Address of a dashboard that shows `runs` and writes there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "simulator.cli", "dashboard", str(runs), "--out", str(runs)]
    with subprocess.Popen([*command, "--no-open", "--port", str(port)], start_new_session=True) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/_stcore/health")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)


def _wait(address: str) -> None:
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except OSError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)
