"""Workers give what one process gives, and end with whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator import processes
from simulator.errors import InputError
from simulator.results.scratch import is_alive

SLEEPERS = """
import os, signal, sys, time
from pathlib import Path
from simulator.processes import results

def sleep(folder, task):
    (folder / f"{os.getpid()}").touch()
    time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a shell's script
    list(results(sleep, Path(sys.argv[1]), [1, 2], 2))
"""


def squared(power: int, task: int) -> tuple[int, int]:
    processes.tell(str(task), 0.5)
    return task**power, os.getpid()


def end(shared: None, task: int) -> None:
    if task:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_results_are_those_of_one_process(jobs: int) -> None:
    heard: list[tuple[str, float]] = []
    found = dict(processes.results(squared, 3, [2, 3, 4], jobs, lambda what, share: heard.append((what, share))))
    assert {task: result for task, (result, _) in found.items()} == {2: 8, 3: 27, 4: 64}
    assert ({pid for _, pid in found.values()} == {os.getpid()}) == (jobs == 1)
    assert jobs == 1 or set(heard) <= {("2", 0.5), ("3", 0.5), ("4", 0.5)}


def test_a_worker_that_is_killed_is_told() -> None:
    with pytest.raises(InputError, match="a process was killed"):
        list(processes.results(end, None, [0, 1, 1], 2))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, how: signal.Signals) -> None:
    script, folder = tmp_path / "sleepers.py", tmp_path / "pids"
    script.write_text(SLEEPERS, encoding="utf-8")
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL)
    workers = _eventually(lambda: [int(file.name) for file in folder.iterdir()], 2)
    parent.send_signal(how)
    parent.wait(60)
    assert _eventually(lambda: [pid for pid in workers if not is_alive(pid)], 2)


def _eventually(look: object, n: int) -> list[int]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found: list[int] = look()  # type: ignore[operator]
        if len(found) == n:
            return found
        time.sleep(0.05)
    raise AssertionError("did not come")
