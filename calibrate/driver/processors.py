"""Whether processes get the processors that they ask for, as Linux counts it for each thread."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_NS_PER_S = 1e9
_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessorTime:
    """Time of all threads of some processes so far: on a processor, and ready but waiting for one, seconds."""

    running_s: float
    waiting_s: float


def processor_time(processes: Iterable[int | str], proc: Path = _PROC) -> ProcessorTime | None:
    """Time of the processes' threads (`schedstat`); None where the system does not count it.

    Threads that ended are left out, in both times alike.
    """
    total_ns = [0, 0]
    is_counted = False
    for process in processes:
        for thread in (proc / str(process) / "task").glob("*"):
            try:
                running, waiting, _ = (thread / "schedstat").read_text(encoding="ascii").split()
            except (OSError, ValueError):
                continue
            is_counted = True
            total_ns[0] += int(running)
            total_ns[1] += int(waiting)
    return ProcessorTime(total_ns[0] / _NS_PER_S, total_ns[1] / _NS_PER_S) if is_counted else None


def cpu_share(before: ProcessorTime | None, after: ProcessorTime | None) -> float | None:
    """Share of the time in which threads could run that they did, with any number of threads; None where not known.

    1 is an engine that shares its processors with nobody: waiting for work, a lock or a device is no waiting for a
    processor. It is low too where the engine has more busy threads than there are processors.
    """
    if before is None or after is None:
        return None
    running_s = after.running_s - before.running_s
    waiting_s = after.waiting_s - before.waiting_s
    wanted_s = running_s + waiting_s
    return running_s / wanted_s if running_s >= 0 and waiting_s >= 0 and wanted_s > 0 else None


def group_of(leader: int, proc: Path = _PROC) -> list[int]:
    """Processes of a process group."""
    found = []
    for stat in proc.glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if len(fields) > 2 and fields[2] == str(leader):
            found.append(int(stat.parent.name))
    return found
