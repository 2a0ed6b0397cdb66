"""Runs in processes of their own: they outlive the page that started them and are told apart by an id in the URL.

A job is a folder: `scenario/` with what it runs, `status.json` that the worker rewrites, whole each time.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from dashboard.checks import check
from dashboard.processes import spare_cores
from dashboard.workspace import lay_out
from simulator.errors import InputError
from simulator.results.files import make_folder, write_text
from simulator.results.scratch import is_alive

_FOLDER = ".jobs"
_STATUS = "status.json"
_UNFINISHED = re.compile(r"\..+\.(\d+)")
MAX_RUNNING = spare_cores(4)
_STARTING = threading.Lock()
"""Held from the count of the runs until the next one is among them."""
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


_PROCESSES: dict[str, subprocess.Popen[bytes]] = {}
"""Of this server; those of an earlier one are known by their folders alone."""


def running(out: Path) -> dict[str, Status]:
    """Every run that is going on, those of earlier servers included, the oldest first."""
    found = {folder.name: status(out, folder.name) for folder in (out / _FOLDER).glob("*")}
    going = {job: status for job, status in found.items() if status is not None and status.state == "running"}
    return dict(sorted(going.items(), key=lambda item: item[1].began_s))


def start(
    out: Path,
    place: str,
    text: str,
    uploads: Mapping[str, bytes],
    base: Path | None = None,
    explore_s: float = 0.0,
) -> str:
    """Begin a run and return its id; the scenario is laid out as `lay_out` does.

    Parameters
    ----------
    explore_s : for further trials, as `servecast run` takes it

    Raises
    ------
    InputError : the scenario is not valid, or too many runs are going on
    """
    with _STARTING:
        _refuse_many(running(out).values())
        _forget_old(out)
        return _start(out, place, text, uploads, base, explore_s)


def _refuse_many(going: Collection[Status]) -> None:
    if len(going) >= MAX_RUNNING:
        ages = ", ".join(f"{found.share:.0%} after {(time.time() - found.began_s) / 60:.0f} min" for found in going)
        count = "one run at a time goes" if MAX_RUNNING == 1 else f"{MAX_RUNNING} runs at a time go"
        raise InputError(f"{count} on here (now: {ages}); wait for one to end, or cancel yours")


def _start(out: Path, place: str, text: str, uploads: Mapping[str, bytes], base: Path | None, explore_s: float) -> str:
    job = secrets.token_hex(6)
    folder = out / _FOLDER / job
    make_folder(folder)
    try:
        file = lay_out(folder / "scenario", place, text, uploads, base)
        check(file, folder / "scenario")
        write_status(folder, Status("running", began_s=time.time()))
    except (OSError, shutil.Error) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"the run cannot be written: {_why(error)}") from error
    except InputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with (folder / "log.txt").open("wb") as log:
        _PROCESSES[job] = subprocess.Popen(
            [sys.executable, "-m", "dashboard.worker", str(folder), str(file), str(out), str(explore_s)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    return job


def status(out: Path, job: str) -> Status | None:
    """Status of a job; None if there is none of that name, or what it says of itself is broken."""
    folder = out / _FOLDER / job
    if not job.isalnum() or (found := _read(folder)) is None:
        return None
    if found.state != "running" or _is_alive(job, folder):
        return found
    again = _read(folder)
    if again is None or again.state != "running":
        return again
    return Status("killed", found.share, found.doing, found.began_s, problems=("its process ended without a word",))


def cancel(out: Path, job: str) -> None:
    """Interrupt a job; what it has found stays as a partial bundle."""
    process = _PROCESSES.get(job)
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGINT)
        return
    found = status(out, job)
    if found is not None and found.state == "running":
        os.kill(_pid(out / _FOLDER / job), signal.SIGINT)


def _read(folder: Path) -> Status | None:
    try:
        value = json.loads((folder / _STATUS).read_text(encoding="utf-8"))
        return Status(**{**value, "problems": tuple(value["problems"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _why(error: OSError) -> str:
    full = error.errno == errno.ENOSPC or str(errno.ENOSPC) in str(error) or os.strerror(errno.ENOSPC) in str(error)
    return "the disk is full" if full else (error.strerror or str(error))


def _is_alive(job: str, folder: Path) -> bool:
    process = _PROCESSES.get(job)
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
    """Remove jobs of yesterday, and what processes that were killed left beside the bundles."""
    for folder in out.glob(".*.*"):
        if (owner := _UNFINISHED.fullmatch(folder.name)) and folder.is_dir() and not is_alive(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in (out / _FOLDER).glob("*"):
        if time.time() - folder.stat().st_mtime > _KEPT_S and not _is_alive(folder.name, folder):
            shutil.rmtree(folder, ignore_errors=True)
            _PROCESSES.pop(folder.name, None)
