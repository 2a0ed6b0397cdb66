"""Runs in processes of their own: they outlive the page that started them and are told apart by an id in the URL.

A job is a folder: `scenario/` with what it runs, `status.json` that the worker rewrites, whole each time. As many run
at a time as there are cores beside the one for pages; the others wait in line, in which visitors take turns.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dashboard.checks import check
from dashboard.line import CANCELLED, FOLDER, Status, has_process, name_of, pid_of, read_status, turns, write_status
from dashboard.page_turns import TURNS
from dashboard.processes import spare_cores
from dashboard.turns import next_round
from dashboard.workspace import is_id, lay_out
from simulator.errors import InputError
from simulator.results.bundle import clear_unfinished
from simulator.results.files import make_folder

MAX_RUNNING = spare_cores(4)
MAX_WAITING = 20
"""Runs in line behind them; who has none waiting there yet may add one."""
MOST_WAITING = 60
"""Whoever asks."""
MOST_STARTED, _STARTED_S = 10, 60.0
"""Runs that one visitor may begin within so many seconds, also if they are cancelled."""
_STARTING = threading.Lock()
"""Held from the count of the runs until the next one is among them."""
_KEPT_S, _MOST_KEPT = 86_400.0, 50
"""How long a run is remembered here after it has ended, and how many are: every page that lists runs reads them."""


_PROCESSES: dict[str, subprocess.Popen[bytes]] = {}
"""Of this server; those of an earlier one are known by their folders alone."""


def going(out: Path) -> dict[str, Status]:
    """Every run that goes on or waits, those of earlier servers included: first those that run, then in their order."""
    open_ = {job: status for job, status in _known(out).items() if status.is_open}
    running = sorted((status.queued_s, job) for job, status in open_.items() if status.state == "running")
    return {job: open_[job] for job in [*(job for _, job in running), *turns(open_)]}


def _known(out: Path) -> dict[str, Status]:
    found = {folder.name: status(out, folder.name) for folder in (out / FOLDER).glob("*")}
    return {job: status for job, status in found.items() if status is not None}


def _pause_s(visitor: str, known: Sequence[Status]) -> float:
    """Seconds until a visitor may begin another run; none if at once."""
    began_s = sorted(status.queued_s for status in known if visitor and status.visitor == visitor)
    return max(0.0, began_s[-MOST_STARTED] + _STARTED_S - time.time()) if len(began_s) >= MOST_STARTED else 0.0


def place(out: Path, job: str) -> int:
    """How many go before a job that waits, of those that wait, itself included."""
    waiting = [name for name, status in going(out).items() if status.state == "waiting"]
    return waiting.index(job) + 1 if job in waiting else 0


def start(
    out: Path,
    place: str,
    text: str,
    uploads: Mapping[str, bytes],
    base: Path | None = None,
    explore_s: float = 0.0,
    grid: Sequence[str] = (),
    visitor: str = "",
) -> str:
    """Begin a run, or put it in line, and return its id; the scenario is laid out as `lay_out` does.

    Parameters
    ----------
    explore_s : for further trials, as `servecast run` takes it
    grid : axes of a sweep, as `servecast sweep` takes them; none for a run
    visitor : who asks; visitors take turns

    Raises
    ------
    InputError : the scenario is not valid, too many runs wait, or the visitor began too many a moment ago
    """
    with TURNS.aside(), _STARTING:
        known = [*_known(out).values()]
        waiting, served = (
            [(found.visitor, found.turn) for found in known if found.state == state] for state in ("waiting", "running")
        )
        if wait_s := _pause_s(visitor, known):
            raise InputError(f"{MOST_STARTED} runs of yours began within a minute: wait {wait_s:.0f} s")
        if len(waiting) >= (MAX_WAITING if visitor in dict(waiting) else MOST_WAITING):
            raise InputError(f"{len(waiting)} runs wait here already: come back later, or cancel yours")
        _forget_old(out)
        turn = next_round(visitor, waiting, served)
        return _start(out, place, text, uploads, base, explore_s, grid, visitor, turn)


def _start(
    out: Path,
    place: str,
    text: str,
    uploads: Mapping[str, bytes],
    base: Path | None,
    explore_s: float,
    grid: Sequence[str],
    visitor: str,
    turn: int,
) -> str:
    job = secrets.token_hex(6)
    folder = out / FOLDER / job
    make_folder(folder)
    try:
        file = lay_out(folder / "scenario", place, text, uploads, base)
        check(file, folder / "scenario", grid, visitor)
        now_s, kind = time.time(), "sweep" if grid else "run"
        named = Status(
            "waiting",
            doing="waiting",
            began_s=now_s,
            queued_s=now_s,
            name=name_of(text),
            kind=kind,
            visitor=visitor,
            turn=turn,
        )
        write_status(folder, named)
    except (OSError, shutil.Error) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise InputError(f"the run cannot be written: {_why(error)}") from error
    except InputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with (folder / "log.txt").open("wb") as log:
        _PROCESSES[job] = subprocess.Popen(
            [
                *(sys.executable, "-m", "dashboard.line", str(MAX_RUNNING)),
                *(str(folder), str(file), str(out), str(explore_s), *grid),
            ],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    (folder / "pid").write_text(str(_PROCESSES[job].pid), encoding="utf-8")
    return job


def status(out: Path, job: str) -> Status | None:
    """Status of a job; None if there is none of that name, or what it says of itself is broken."""
    folder = out / FOLDER / job
    if not is_id(job) or (found := read_status(folder)) is None:
        return None
    if not found.is_open or _is_alive(job, folder):
        return found
    again = read_status(folder)
    if again is None or not again.is_open:
        return again
    if (folder / CANCELLED).exists():
        return replace(again, state="cancelled")
    return replace(again, state="killed", problems=(_end_words(_PROCESSES.get(job)),))


def cancel(out: Path, job: str) -> None:
    """Interrupt a job; what it has found stays as a partial bundle.

    One that is only being loaded cannot say itself that it was cancelled.
    """
    process = _PROCESSES.get(job)
    found = status(out, job)
    if found is None or not found.is_open:
        return
    with suppress(OSError):  # a full disk keeps nobody from making room
        (out / FOLDER / job / CANCELLED).touch()
    if process is not None:
        process.send_signal(signal.SIGINT)
    else:
        with suppress(ProcessLookupError):
            os.kill(pid_of(out / FOLDER / job), signal.SIGINT)


def _end_words(process: subprocess.Popen[bytes] | None) -> str:
    """How a process ended that said nothing, as far as the system tells."""
    code = 0 if process is None else process.returncode
    if code >= 0:
        return "its process ended without a word"
    name = signal.Signals(-code).name if -code in [*signal.Signals] else f"signal {-code}"
    by_whom = ", as systems do where memory runs out" if -code == signal.SIGKILL else ""
    return f"its process was ended by {name}{by_whom}"


def _why(error: OSError) -> str:
    full = error.errno == errno.ENOSPC or str(errno.ENOSPC) in str(error) or os.strerror(errno.ENOSPC) in str(error)
    return "the disk is full" if full else (error.strerror or str(error))


def _is_alive(job: str, folder: Path) -> bool:
    process = _PROCESSES.get(job)
    if process is not None:
        return process.poll() is None
    return has_process(folder)


def _forget_old(out: Path) -> None:
    """Remove jobs of yesterday, all but the newest that ended, and what killed processes left beside the bundles."""
    clear_unfinished(out)
    folders = [folder for folder in (out / FOLDER).glob("*") if not _is_alive(folder.name, folder)]
    ages_s = {folder: time.time() - folder.stat().st_mtime for folder in folders}
    for place, folder in enumerate(sorted(ages_s, key=lambda one: ages_s[one])):
        if ages_s[folder] > _KEPT_S or place >= _MOST_KEPT:
            shutil.rmtree(folder, ignore_errors=True)
            _PROCESSES.pop(folder.name, None)
