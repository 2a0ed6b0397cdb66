"""Runs wait in line: `python -m dashboard.line MOST JOB …` waits for its turn, then is the worker of that job.

Each waits in a process of its own, so the line goes on whatever happens to the server. That process imports little.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from simulator.results.files import write_text

FOLDER = ".jobs"
CANCELLED = "cancelled"
"""File of a job that somebody cancelled: the signal may come before anybody listens."""
_STATUS = "status.json"
_PERIOD_S = 0.5
_NAME = re.compile(r"^name:[ \t]*([^\n#]+?)[ \t]*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Status:
    """What a job says of itself.

    Attributes
    ----------
    state : `waiting`, `running`, `done`, `cancelled`, `refused` (bad input), `failed` (ours) or `killed`
    share, doing : how far it is, and with what
    began_s : wall-clock time of the start
    bundle : name of the bundle, once done
    problems : what was wrong, a line each
    queued_s : wall-clock time at which it was asked for
    name : of its scenario
    kind : `run` or `sweep`
    visitor : who asked for it, as `dashboard.visitor` knows them
    turn : round in which it begins (`dashboard.turns`)
    """

    state: str
    share: float = 0.0
    doing: str = "starting"
    began_s: float = 0.0
    bundle: str | None = None
    problems: tuple[str, ...] = ()
    queued_s: float = 0.0
    name: str = ""
    kind: str = "run"
    visitor: str = ""
    turn: int = 0

    @property
    def left_s(self) -> float | None:
        """Seconds left at this pace; None before there is one."""
        if self.share < 0.02:
            return None
        return (time.time() - self.began_s) * (1 - self.share) / self.share

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("waiting", "running")


def write_status(folder: Path, status: Status) -> None:
    """Rewrite a job's status, whole."""
    write_text(folder / _STATUS, json.dumps(asdict(status)))


def read_status(folder: Path) -> Status | None:
    """What a job last said of itself; None where that is broken."""
    try:
        value = json.loads((folder / _STATUS).read_text(encoding="utf-8"))
        return Status(**{**value, "problems": tuple(value["problems"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def pid_of(folder: Path) -> int:
    """Process of a job."""
    return int((folder / "pid").read_text(encoding="utf-8"))


def has_process(folder: Path) -> bool:
    """Whether the process of a job is there."""
    try:
        command = Path(f"/proc/{pid_of(folder)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
    return str(folder).encode() in command


def name_of(text: str) -> str:
    """Name of a scenario, as its text gives it."""
    found = _NAME.search(text)
    return found[1].strip("'\"")[:60] if found else ""


def turns(jobs: Mapping[str, Status]) -> list[str]:
    """Names of the jobs that wait, in the order in which they begin: by round, then by age."""
    waiting = [(status.turn, status.queued_s, name) for name, status in jobs.items() if status.state == "waiting"]
    return [name for *_, name in sorted(waiting)]


def take_turn(folder: Path, most: int) -> bool:
    """Whether a job that waits may begin: fewer than `most` run, and it comes first of those that wait.

    Whose turn it is, is said before anybody else may ask.
    """
    with _alone(folder.parent):
        others = [other for other in folder.parent.iterdir() if other.name.isalnum() and other != folder]
        found = {
            other.name: status for other in others if (status := read_status(other)) is not None and has_process(other)
        }
        own = read_status(folder)
        if own is None or sum(status.state == "running" for status in found.values()) >= most:
            return False
        if turns(found | {folder.name: own})[:1] != [folder.name]:
            return False
        write_status(folder, replace(own, state="running", doing="starting", began_s=time.time()))
        return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".turn").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(folder: Path, most: int) -> None:
    """Wait for the turn; who is interrupted meanwhile says so and is gone."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the server with it ignored
    try:
        while not (is_cancelled := (folder / CANCELLED).exists()) and not take_turn(folder, most):
            time.sleep(_PERIOD_S)
    except KeyboardInterrupt:
        is_cancelled = True
    if is_cancelled:
        now = read_status(folder) or Status("waiting")
        write_status(folder, replace(now, state="cancelled"))
        sys.exit()
    os.execv(sys.executable, [sys.executable, "-m", "dashboard.worker", *sys.argv[2:]])


if __name__ == "__main__":
    main(Path(sys.argv[2]), int(sys.argv[1]))
