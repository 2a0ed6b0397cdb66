"""`servecast dashboard`: compare topologies in the browser."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from dashboard.settings import Settings, bundle_folders
from simulator.errors import InputError, Problem

_APP = Path(__file__).with_name("app.py")
_MIB_PER_UPLOAD = 2


def dashboard(
    runs: list[Path] | None = None,
    /,
    *,
    out: Path = Path("runs"),
    live: Path | None = None,
    port: int = 8501,
    host: str = "127.0.0.1",
    open: bool = True,
) -> int:
    """Open the dashboard in a browser.

    Parameters
    ----------
    runs: run bundles, or folders that hold some; without any, the folder of `--out`
    out: folder for the bundles of runs started in the browser
    live: folder that `servecast calibrate live` writes, shown in the Calibration view
    port: port of the server
    host: address it listens on; anything but loopback lets others on the network in, without a password
    open: open a browser window
    """
    if importlib.util.find_spec("streamlit") is None:
        raise InputError("the dashboard needs Streamlit: pip install 'servecast[dashboard]'")
    for path in runs or []:
        if not bundle_folders((str(path),)):
            raise InputError(Problem("neither a run bundle nor a folder that holds one", str(path)))
    chosen = Settings(
        tuple(str(path.resolve()) for path in runs or [out]), str(out.resolve()), str(live.resolve()) if live else None
    )
    arguments = _arguments(host, port, open)
    sys.stdout.flush()
    os.execve(arguments[0], arguments, os.environ | chosen.to_environment())


def _arguments(host: str, port: int, open_browser: bool) -> list[str]:
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": str(not open_browser).lower(),
        "server.maxUploadSize": _MIB_PER_UPLOAD,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "viewer",
        "theme.light.primaryColor": "#0072B2",
        "theme.dark.primaryColor": "#56B4E9",
    }
    return [
        *(sys.executable, "-m", "streamlit", "run", str(_APP)),
        *(f"--{name}={value}" for name, value in options.items()),
    ]
