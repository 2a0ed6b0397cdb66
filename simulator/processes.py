"""Work in parallel processes that end with whoever started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait as ended
from typing import Any, TypeVar

from simulator.errors import InputError, Problem

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")
Told = Callable[[str, float], None]

_POLL_S = 0.2
_END_S = 5.0
_SELF: dict[str, Any] = {}
"""Of a worker: what all tasks share, and where it tells how far it is."""


def cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def forks() -> bool:
    """Whether a worker begins as a copy of this process, at once; else it imports everything first.

    A copy is safe only where no other thread may hold a lock, and macOS' own libraries do not allow it.
    """
    return sys.platform == "linux" and threading.active_count() == 1


def results(
    perform: Callable[[Shared, Task], Result],
    shared: Shared,
    tasks: Sequence[Task],
    jobs: int,
    told: Told | None = None,
) -> Iterator[tuple[Task, Result]]:
    """Tasks with their results, in the order in which they finish; with one job in this process.

    Parameters
    ----------
    perform : a function of a module, called with what all tasks share and a task
    jobs : processes at most
    told : called with what the tasks `tell`

    Raises
    ------
    InputError : a process was killed
    what a task raised : the others end then
    """
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, perform(shared, task)
        return
    context: Any = multiprocessing.get_context("fork" if forks() else "spawn")
    others = {child.pid for child in multiprocessing.active_children()}
    heard = context.Queue()
    executor = ProcessPoolExecutor(
        min(jobs, len(tasks)), mp_context=context, initializer=_begin, initargs=(shared, heard if told else None)
    )
    try:
        waiting = {executor.submit(_perform, perform, task): task for task in tasks}
        while waiting:
            done, _ = wait(waiting, timeout=_POLL_S, return_when=FIRST_COMPLETED)
            while told and not heard.empty():
                told(*heard.get())
            for future in sorted(done, key=[*waiting].index):
                yield waiting.pop(future), future.result()
        executor.shutdown()
    except BrokenProcessPool as error:
        text = "a process was killed, perhaps for want of memory: run again with fewer, what was kept is not lost"
        raise InputError(Problem(text, "--jobs", got=str(jobs))) from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        mine = [child for child in multiprocessing.active_children() if child.pid not in others]
        for child in mine:
            child.terminate()
        for child in mine:  # whoever started them may now remove what they wrote to
            child.join(_END_S)
        heard.close()
        heard.cancel_join_thread()


def tell(what: str, share: float) -> None:
    """Tell the process that started this worker how far its task is."""
    if _SELF.get("heard") is not None:
        _SELF["heard"].put((what, share))


def _begin(shared: object, heard: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _SELF.update(shared=shared, heard=heard)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        ended([parent.sentinel])
        os._exit(1)


def _perform(perform: Callable[[Any, Task], Result], task: Task) -> Result:
    return perform(_SELF["shared"], task)
