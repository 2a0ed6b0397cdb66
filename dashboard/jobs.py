"""Runs in processes of their own: they outlive the page that started them and are told apart by an id in the URL.

A job is a folder: `scenario/` with what it runs, `status.json` that the worker rewrites, whole each time.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard.workspace import lay_out, load_confined
from simulator.errors import InputError
from simulator.results.files import make_folder, write_text

_FOLDER = ".jobs"
_STATUS = "status.json"
MAX_RUNNING = 4
_KEPT_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Status:
    """What a job says of itself.

    Attributes
    ----------
    state : `running`, `done`, `cancelled`, `refused` (bad input), `failed` (ours) or `killed`
    share, doing : how far it is, and with what
    began_s : wall-clock time of the start
    bundle : name of the bundle, once done
    problems : what was wrong, a line each
    """

    state: str
    share: float = 0.0
    doing: str = "starting"
    began_s: float = 0.0
    bundle: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def left_s(self) -> float | None:
        """Seconds left at this pace; None before there is one."""
        if self.share < 0.02:
            return None
        return (time.time() - self.began_s) * (1 - self.share) / self.share


def write_status(folder: Path, status: Status) -> None:
    """Rewrite a job's status, whole."""
    write_text(folder / _STATUS, json.dumps(asdict(status)))


@st.cache_resource
def _processes() -> dict[str, subprocess.Popen[bytes]]:
    return {}


def start(out: Path, place: str, text: str, uploads: Mapping[str, bytes], base: Path | None = None) -> str:
    """Begin a run and return its id; the scenario is laid out as `lay_out` does.

    Raises
    ------
    InputError : the scenario is not valid, or too many runs are going on
    """
    running = [process for process in _processes().values() if process.poll() is None]
    if len(running) >= MAX_RUNNING:
        raise InputError(f"{MAX_RUNNING} runs are going on here; wait for one to end, or cancel one")
    _forget_old(out)
    job = secrets.token_hex(6)
    folder = out / _FOLDER / job
    make_folder(folder)
    try:
        file = lay_out(folder / "scenario", place, text, uploads, base)
        load_confined(file, folder / "scenario")
    except InputError:
        shutil.rmtree(folder)
        raise
    write_status(folder, Status("running", began_s=time.time()))
    with (folder / "log.txt").open("wb") as log:
        _processes()[job] = subprocess.Popen(
            [sys.executable, "-m", "dashboard.worker", str(folder), str(file), str(out)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return job


def status(out: Path, job: str) -> Status | None:
    """Status of a job; None if there is none of that name."""
    folder = out / _FOLDER / job
    if not job.isalnum() or not (folder / _STATUS).is_file():
        return None
    found = Status(**_tuples(json.loads((folder / _STATUS).read_text(encoding="utf-8"))))
    if found.state != "running" or _is_alive(job, folder):
        return found
    again = Status(**_tuples(json.loads((folder / _STATUS).read_text(encoding="utf-8"))))
    if again.state != "running":
        return again
    return Status("killed", found.share, found.doing, found.began_s, problems=("its process ended without a word",))


def cancel(out: Path, job: str) -> None:
    """Interrupt a job; what it has found stays as a partial bundle."""
    process = _processes().get(job)
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGINT)
        return
    found = status(out, job)
    if found is not None and found.state == "running":
        os.kill(_pid(out / _FOLDER / job), signal.SIGINT)


def _tuples(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "problems": tuple(value["problems"])}


def _is_alive(job: str, folder: Path) -> bool:
    process = _processes().get(job)
    if process is not None:
        return process.poll() is None
    try:
        command = Path(f"/proc/{_pid(folder)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return str(folder).encode() in command


def _pid(folder: Path) -> int:
    return int((folder / "pid").read_text(encoding="utf-8"))


def _forget_old(out: Path) -> None:
    for folder in (out / _FOLDER).glob("*"):
        if time.time() - folder.stat().st_mtime > _KEPT_S and not _is_alive(folder.name, folder):
            shutil.rmtree(folder, ignore_errors=True)
            _processes().pop(folder.name, None)
