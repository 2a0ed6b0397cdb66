"""Work in parallel processes that end with whoever started them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, cast

from simulator.errors import InputError, Problem
from simulator.money import Currency, shown_currency, shown_in

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")
Told = Callable[[Task, str, float], None]

_END_S = 5.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
"""Signals that end what a process does."""
_TOLD, _DONE, _RAISED = "told", "done", "raised"
"""What a worker says."""
_SELF: dict[str, Connection] = {}
"""Of a worker: where it tells how far its task is."""


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
    told: Told[Task] | None = None,
) -> Generator[tuple[Task, Result], None, None]:
    """Tasks with their results, in the order in which they finish; with one job in this process.

    Each worker has a pipe of its own, and no lock or thread with others or with this process: whatever one was about to
    say when it was killed, its pipe ends, and nobody waits for the rest.

    Parameters
    ----------
    perform : a function of a module, called with what all tasks share and a task
    jobs : processes at most
    told : called with a task and what it tells (`tell`), all of it before its result comes

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
    workers: dict[Connection, BaseProcess] = {}
    under_way: dict[Connection, Task] = {}
    waiting = iter(tasks)
    try:
        for task in islice(waiting, jobs):
            with _reached(jobs):
                pipe = _start(context, (perform, shared, told is not None, shown_currency()), workers)
                pipe.send(task)
            under_way[pipe] = task
        while under_way:
            for ready in wait([*under_way]):
                pipe = cast(Connection, ready)
                with _reached(jobs):
                    message = pipe.recv_bytes()
                word, said = pickle.loads(message)
                if word == _RAISED:
                    raise said
                if word == _TOLD:
                    if told:
                        told(under_way[pipe], *said)
                    continue
                done = under_way.pop(pipe)
                for task in islice(waiting, 1):
                    with _reached(jobs):
                        pipe.send(task)
                    under_way[pipe] = task
                yield done, said
    finally:
        for child in workers.values():
            child.kill()
        for pipe, child in workers.items():  # whoever started them may now remove what they wrote to
            child.join(_END_S)
            pipe.close()


def tell(what: str, share: float) -> None:
    """Tell the process that started this worker how far its task is."""
    if "pipe" in _SELF:
        _say(_SELF["pipe"], pickle.dumps((_TOLD, (what, share))))


@contextmanager
def _reached(jobs: int) -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        text = "a process was killed, perhaps for want of memory: run again with fewer, what was kept is not lost"
        raise InputError(Problem(text, "--jobs", got=str(jobs))) from error


def _start(context: Any, work: tuple[Any, ...], workers: dict[Connection, BaseProcess]) -> Connection:
    """The pipe of a further worker; no signal comes between its start and its place among the others.

    What a worker needs it inherits or is sent over its pipe: `Process.start` would write it to a spawned one that may
    be dead by then, into a pipe whose other end this process holds open itself, and never return.
    """
    here, there = context.Pipe()
    inherits = context.get_start_method() == "fork"
    child = context.Process(target=_work, args=(there, work if inherits else None), daemon=True)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        child.start()
        workers[here] = child
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        there.close()
    if not inherits:
        here.send(work)
    return here  # type: ignore[no-any-return]


def _work(pipe: Connection, work: tuple[Callable[[Any, Any], Any], object, bool, Currency] | None) -> None:
    """One task after another, until this process is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    perform, shared, tells, currency = work or _heard(pipe)
    if tells:
        _SELF["pipe"] = pipe
    with shown_in(currency):
        while True:
            _say(pipe, _answer(perform, shared, _heard(pipe)))


def _heard(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except (EOFError, OSError):  # whoever started this process is gone
        os._exit(1)


def _answer(perform: Callable[[Any, Any], Any], shared: object, task: object) -> bytes:
    try:
        return pickle.dumps((_DONE, perform(shared, task)))
    except BaseException as error:
        return pickle.dumps((_RAISED, sendable(error)))


def sendable(error: BaseException) -> BaseException:
    """An error as another process can put it together, with where it was raised: in words where it is none of these."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        told.__notes__ = error.__notes__
        return told
    return error


def _say(pipe: Connection, message: bytes) -> None:
    try:
        pipe.send_bytes(message)
    except OSError:
        os._exit(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
