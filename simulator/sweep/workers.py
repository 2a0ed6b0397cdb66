"""Tasks in parallel processes, each result as soon as it is there."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context
from typing import Any

from simulator.errors import InputError, Problem
from simulator.sweep.tasks import Task, perform


def results(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Tasks with their results, in the order in which they finish; with one job in this process.

    Raises
    ------
    InputError : a process was killed
    """
    if jobs == 1 or len(tasks) < 2:
        for task in tasks:
            yield task, perform(task)
        return
    others = {child.pid for child in active_children()}
    executor = ProcessPoolExecutor(
        min(jobs, len(tasks)), mp_context=get_context("spawn"), initializer=_leave_interrupts_to_the_parent
    )
    try:
        futures = {executor.submit(perform, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
        executor.shutdown()
    except BrokenProcessPool as error:
        text = "a process was killed, perhaps for want of memory: run again with fewer, what has finished is kept"
        raise InputError(Problem(text, "--jobs", got=str(jobs))) from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for child in active_children():
            if child.pid not in others:
                child.terminate()


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
