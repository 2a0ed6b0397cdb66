"""A server of the dashboard and a Chromium for it, for screenshots and timings."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dashboard.pages import PAGES

_STARTUP_S = 60.0


@contextmanager
def server(*runs: Path) -> Iterator[str]:
    """Address of a dashboard that shows `runs`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "simulator.cli", "dashboard", *map(str, runs), "--no-open", "--port", str(port))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/_stcore/health", process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + _STARTUP_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the dashboard did not start")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser: the system's Chromium."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("no chromium was found: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def settle(page: Any) -> None:
    """Wait until the script has run and the charts are drawn."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=120_000)
    page.wait_for_selector('[data-testid="stHeading"]', timeout=120_000)


def path_of(view: str) -> str:
    """Path of a view; the first one is the application's own address."""
    return "/" if view == PAGES[0].view else f"/{view.replace('_', '-')}"
