"""What is done on the machines of a cluster in tests."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def program() -> dict[str, str]:
    """The same on every machine."""
    return {"servecast": "1"}


def own_process(_: object = None) -> dict[str, str]:
    """Another one in every process."""
    return {"servecast": "1", "numba": str(os.getpid())}


def squared(power: int, task: int) -> int:
    return task**power


def node_of(seconds: float, task: int) -> str:
    """On which machine, after a while."""
    import ray

    time.sleep(seconds)
    return str(ray.get_runtime_context().get_node_id())


def begun(folder: Path, task: int) -> None:
    """Say that it has begun, and by which process, and go on for ever."""
    (folder / f"{task}.{os.getpid()}").touch()
    time.sleep(600)


def killed_first(folder: Path, task: int) -> int:
    """Odd tasks end their own process the first time."""
    mark = folder / str(task)
    if task % 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def always_killed(folder: Path, task: int) -> None:
    (folder / f"{task}-{time.monotonic_ns()}").touch()
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(_: object, task: int) -> int:
    from simulator.errors import InputError, Problem

    if task == 3:
        raise InputError(Problem("must not be three", "here", got="3"))
    return task
