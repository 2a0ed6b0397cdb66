"""`servecast dashboard`: compare topologies in the browser."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dashboard.settings import Settings
from dashboard.sign_in import check_provider
from simulator.errors import InputError, Problem
from simulator.results.shelf import bundle_folders

_APP = Path(__file__).with_name("server.py")
_MB_PER_MESSAGE = 32
"""Either way; what a browser sends is held whole before anybody looks at it."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def dashboard(
    runs: list[Path] | None = None,
    /,
    *,
    out: Path = Path("runs"),
    live: Path | None = None,
    port: int = 8501,
    host: str = "127.0.0.1",
    open: Annotated[bool, Parameter(negative="--no-open")] = True,
    allow_host: list[str] | None = None,
    sign_in: Path | None = None,
) -> int:
    """Open the dashboard in a browser.

    For example:

        servecast dashboard
        servecast dashboard runs/quickstart-4fb36670 --port 8600
        servecast dashboard --host 0.0.0.0 --allow-host plan.example.com --sign-in auth.toml

    Parameters
    ----------
    runs
        Run bundles, or folders that hold some; without any, the folder of `--out`.
    out
        Folder for the bundles of runs started in the browser.
    live
        Folder that `servecast calibrate live` writes, shown in the Calibration view.
    port
        Port of the server.
    host
        Address it listens on; anything but loopback lets others on the network in, without a password.
    open
        Open a browser window.
    allow_host
        Name by which browsers reach the server, where it is not the address it listens on; any, unless given,
        where it listens on all addresses.
    sign_in
        TOML file whose section `[auth]` names the OpenID Connect provider that visitors sign in with; without it,
        whoever reaches the server may use it. As Streamlit reads it: `redirect_uri` (the server's address followed by
        `/oauth2callback`), `cookie_secret`, `client_id`, `client_secret` and `server_metadata_url`.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise InputError("the dashboard needs Streamlit: pip install 'servecast[dashboard]'")
    for path in runs or []:
        if not bundle_folders((str(path),)):
            raise InputError(Problem("neither a run bundle nor a folder that holds one", str(path)))
    chosen = Settings(
        tuple(str(path.resolve()) for path in runs or [out]),
        str(out.resolve()),
        str(live.resolve()) if live else None,
        sign_in is not None,
    )
    arguments = _arguments(host, port, open, allow_host or [])
    if sign_in is not None:
        check_provider(sign_in)
        arguments.append(f"--secrets.files={sign_in.resolve()}")
    sys.stdout.flush()
    os.execve(arguments[0], arguments, os.environ | chosen.to_environment())


def _arguments(host: str, port: int, open_browser: bool, names: list[str]) -> list[str]:
    """Streamlit's, which answers nobody who comes by another name than its own, and takes orders from no other page."""
    from dashboard.limits import MAX_UPLOADED_BYTES

    everywhere = host in ("0.0.0.0", "::")
    hosts = [] if everywhere and not names else [*_LOOPBACK, *([] if everywhere else [host]), *names]
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": str(not open_browser).lower(),
        "server.showEmailPrompt": "false",
        "server.maxUploadSize": MAX_UPLOADED_BYTES // 2**20,
        "server.maxMessageSize": _MB_PER_MESSAGE,
        "server.fileWatcherType": "none",
        "browser.gatherUsageStats": "false",
        "browser.serverAddress": names[0] if names else "localhost" if everywhere else host,
        "client.showErrorDetails": "none",
        "runner.magicEnabled": "false",
        "runner.postScriptGC": "false",
        "client.toolbarMode": "viewer",
        "theme.light.primaryColor": "#0072B2",
        "theme.dark.primaryColor": "#56B4E9",
    }
    lists = {"server.allowedHosts": dict.fromkeys(hosts), "client.allowedOrigins": [f"http://localhost:{port}"]}
    return [
        *(sys.executable, "-m", "streamlit", "run", str(_APP)),
        *(f"--{name}={value}" for name, value in options.items()),
        *(f"--{name}={value}" for name, values in lists.items() for value in values),
    ]
