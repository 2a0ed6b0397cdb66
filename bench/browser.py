"""A server of the dashboard and a Chromium for it, for screenshots, timings and tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dashboard.pages import PAGES

_STARTUP_S = 240.0
_DRAWN_MS = 240_000


@contextmanager
def server(
    *runs: Path,
    out: Path | None = None,
    port: int | None = None,
    options: Sequence[str] = (),
    checkout: Path | None = None,
) -> Iterator[tuple[str, int]]:
    """Address and process number of a dashboard that shows `runs` and writes to `out`.

    Parameters
    ----------
    options : further ones of the command
    checkout : whose dashboard it is, this one's unless given
    """
    port = port or free_port()
    command = [sys.executable, "-m", "simulator.cli", "dashboard", *map(str, runs), "--no-open", "--port", str(port)]
    command += [*(["--out", str(out)] if out else []), *options]
    other = None if checkout is None else os.environ | {"PYTHONPATH": str(checkout)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True, cwd=checkout, env=other)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(f"{address}/_stcore/health", process)
        yield address, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + _STARTUP_S
    while time.monotonic() < end_s and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the dashboard did not start")


def pss_bytes(pid: int) -> int:
    """Memory of a process and all below it: their proportional set sizes, which count shared pages once."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return 1024 * sum(_pss_kib(Path(f"/proc/{member}/smaps_rollup")) for member in family)


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _pss_kib(file: Path) -> int:
    try:
        return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("Pss:"))
    except OSError:
        return 0


def chromium_path() -> str | None:
    """The system's Chromium, if there is one."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser: the system's Chromium."""
    from playwright.sync_api import sync_playwright

    found = chromium_path()
    if found is None:
        raise SystemExit("no chromium was found: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


def settle(page: Any) -> None:
    """Wait until the script has run and the charts are drawn."""
    page.wait_for_selector('[data-testid="stHeading"]', timeout=_DRAWN_MS)
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=_DRAWN_MS)


def path_of(view: str) -> str:
    """Path of a view; the first one is the application's own address."""
    return "/" if view == PAGES[0].view else f"/{view.replace('_', '-')}"
