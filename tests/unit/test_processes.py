"""Workers give what one process gives, and end with whoever started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import resource_tracker, spawn
from multiprocessing.connection import Connection
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
    heard: list[tuple[int, str, float]] = []
    found = dict(processes.results(squared, 3, [2, 3, 4], jobs, lambda *said: heard.append(said)))
    assert {task: result for task, (result, _) in found.items()} == {2: 8, 3: 27, 4: 64}
    assert ({pid for _, pid in found.values()} == {os.getpid()}) == (jobs == 1)
    assert sorted(heard) == ([] if jobs == 1 else [(2, "2", 0.5), (3, "3", 0.5), (4, "4", 0.5)])


def test_a_worker_that_is_killed_is_told() -> None:
    with pytest.raises(InputError, match="a process was killed"):
        list(processes.results(end, None, [0, 1, 1], 2))


def end_within_an_answer(shared: None, task: int) -> str:
    """Half of what the last task answers is on its way when its process is killed; the others have ended theirs."""

    def half(pipe: Connection, message: bytes) -> None:
        os.write(pipe.fileno(), len(message).to_bytes(4, "big") + message[: len(message) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    if task:
        Connection.send_bytes = Connection._send_bytes = half  # type: ignore[assignment, method-assign, attr-defined]
    return "x" * 1000


def test_nobody_waits_for_the_rest_of_an_answer() -> None:
    """Of a worker that was killed, or ran out of memory, while it sent it."""
    with pytest.raises(InputError, match="a process was killed"):
        list(processes.results(end_within_an_answer, None, [0, 1], 2))


def test_nobody_waits_for_a_worker_that_dies_before_it_hears_of_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than a pipe holds; `multiprocessing` itself writes on, uninterruptibly, where it is to send that."""
    monkeypatch.setattr(processes, "forks", lambda: False)
    resource_tracker.ensure_running()
    monkeypatch.setattr(spawn, "_python_exe", b"/bin/false")
    with pytest.raises(InputError, match="a process was killed"):
        list(processes.results(squared, bytes(10**7), [0, 1], 2))


def test_spawned_workers_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "forks", lambda: False)
    found = dict(processes.results(squared, 3, [2, 3, 4], 2))
    assert {task: result for task, (result, _) in found.items()} == {2: 8, 3: 27, 4: 64}


def refuse(shared: None, task: int) -> object:
    if task == 1:
        raise InputError(f"no {task}")
    return threading.Lock() if task == 2 else task


def test_what_a_task_raises_comes_as_it_is_with_where_it_was_raised() -> None:
    with pytest.raises(InputError, match="no 1") as caught:
        list(processes.results(refuse, None, [0, 1], 2))
    assert "in refuse" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match="pickle"):
        list(processes.results(refuse, None, [0, 2], 2))


class NoSuch(Exception):
    """It holds what no other process can have, or lacks what it is made of."""

    def __init__(self, name: str, lock: object) -> None:
        super().__init__(f"no {name}")
        self.lock = lock


def lack(shared: None, task: int) -> None:
    raise NoSuch("h100", threading.Lock() if task else None)


@pytest.mark.parametrize("task", [0, 1])
def test_an_error_that_cannot_be_sent_comes_in_words(task: int) -> None:
    with pytest.raises(RuntimeError, match="NoSuch: no h100") as caught:
        list(processes.results(lack, None, [task, task], 2))
    assert "in lack" in caught.value.__notes__[0]


def not_there(name: str) -> None:
    raise FileNotFoundError(name)


class Lost:
    """It can be sent, and not be put together again."""

    def __reduce__(self) -> tuple[object, ...]:
        return not_there, ("a.txt",)


def lose(shared: None, task: int) -> Lost:
    return Lost()


def test_a_result_that_cannot_be_put_together_is_not_taken_for_a_killed_process() -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.txt"):
        list(processes.results(lose, None, [0, 1], 2))


def flood(shared: None, task: int) -> int:
    for k in range(5000):
        processes.tell("x" * 100, k / 5000)
    return task


def test_however_much_a_task_tells_it_ends() -> None:
    heard: list[float] = []
    found = processes.results(flood, None, [0, 1, 2], 2, lambda task, what, share: heard.append(share))
    assert sorted(found) == [(0, 0), (1, 1), (2, 2)]
    assert len(heard) == 15_000


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, how: signal.Signals) -> None:
    script, folder = tmp_path / "sleepers.py", tmp_path / "pids"
    script.write_text(SLEEPERS, encoding="utf-8")
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL)
    workers = _eventually(lambda: [int(file.name) for file in folder.iterdir()], 2)
    parent.send_signal(how)
    parent.wait(240)
    assert _eventually(lambda: [pid for pid in workers if not is_alive(pid)], 2)


def _eventually(look: object, n: int) -> list[int]:
    until = time.monotonic() + 240
    while time.monotonic() < until:
        found: list[int] = look()  # type: ignore[operator]
        if len(found) == n:
            return found
        time.sleep(0.05)
    raise AssertionError("did not come")


@pytest.mark.parametrize(
    ("platform", "threads", "copies"), [("linux", 1, True), ("linux", 2, False), ("darwin", 1, False)]
)
def test_workers_are_copies_on_linux_where_no_other_thread_may_hold_a_lock(
    platform: str, threads: int, copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(threading, "active_count", lambda: threads)
    assert processes.forks() is copies
