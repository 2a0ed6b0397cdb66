"""Work on the machines of a Ray cluster, by the contract of `processes.results`: tasks in, rows out in any order."""

from __future__ import annotations

import math
import os
import pickle
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from simulator.cache_folder import ensure_cache
from simulator.errors import InputError, Problem
from simulator.processes import sendable

Shared = TypeVar("Shared")
Task = TypeVar("Task")
Result = TypeVar("Result")
Program = Callable[[], Mapping[str, str]]
"""What has to be the same on all machines, by its name."""

MOST_LOST = 4
"""Times that a worker may be lost under one task."""
_AHEAD = 2
"""Tasks under way for each core: one that is simulated, one that waits there, so that no core waits for the network."""
_REACH_S, _NODE_S, _LOOK_S = 5.0, 300.0, 1.0
"""Longest wait for the cluster's port, and for a first answer of a machine; between two looks at the cluster."""
_ADDRESS = re.compile(r"\[?([\w.:-]+?)\]?:(\d{1,5})")
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DEDUP_LOGS": "0",
}
"""Of Ray's settings: it tells nobody that it is used."""
_OPTION, _EXECUTOR = "--ray-address", "--executor"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process has joined.

    Attributes
    ----------
    ray : the module
    """

    ray: Any

    def cores(self) -> int:
        """Cores of all machines, as they are now."""
        return int(self.ray.cluster_resources().get("CPU", 0))

    def results(
        self,
        perform: Callable[[Shared, Task], Result],
        shared: Shared,
        tasks: Sequence[Task],
        program: Program,
        most: int | None = None,
    ) -> Generator[tuple[Task, Result], None, None]:
        """Tasks with their results, in the order in which they finish.

        No more tasks are under way than `_AHEAD` for each core, whatever their number. One whose worker or machine is
        lost is done again, `MOST_LOST` times at most. All are cancelled when whoever asks goes no further.

        Parameters
        ----------
        perform : a function of a module, called with what all tasks share and a task
        program : what a machine has to have alike with this one to be given tasks
        most : tasks under way; as many as the cluster's cores are good for unless given

        Raises
        ------
        InputError : a machine has another program or none, or a task lost its workers again and again
        what a task raised : the others are cancelled then
        """
        check = (pickle.dumps(program), dict(program()))
        if tasks:
            self._check_machines(check)
        work = self.ray.put(pickle.dumps((perform, shared)))
        remote = self.ray.remote(num_cpus=1, max_retries=0)(_answer)
        ended: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        under_way: dict[int, Any] = {}
        lost: Counter[int] = Counter()
        waiting = iter(range(len(tasks)))

        def give(number: int) -> None:
            reference = under_way[number] = remote.remote(work, check, pickle.dumps(tasks[number]))
            reference.future().add_done_callback(lambda done: ended.put((number, done)))

        looked_s, room = -math.inf, 0
        try:
            while True:
                if time.monotonic() - looked_s > _LOOK_S:
                    looked_s, room = time.monotonic(), most or _AHEAD * max(self.cores(), 1)
                for number in islice(waiting, max(room - len(under_way), 0)):
                    give(number)
                if not under_way:
                    return
                for number, done in _ended(ended):
                    del under_way[number]
                    error = done.exception()
                    if error is None:
                        yield tasks[number], _said(done.result())
                    elif not self._is_loss(error):
                        raise error
                    else:
                        lost[number] += 1
                        if lost[number] == MOST_LOST:
                            text = f"lost the worker of one task {MOST_LOST} times, perhaps for want of memory"
                            raise InputError(Problem(f"{text}; what was kept is not lost: {_line(error)}", _EXECUTOR))
                        give(number)
        finally:
            with suppress(Exception):
                for reference in under_way.values():
                    self.ray.cancel(reference, force=True)

    def _check_machines(self, check: tuple[bytes, dict[str, str]]) -> None:
        """Ask each machine that has cores what its program is; one that is lost meanwhile gets no tasks.

        Raises
        ------
        InputError : those that have another, or none, or do not answer
        """
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        machines = {
            node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
            for node in self.ray.nodes()
            if node["Alive"] and node["Resources"].get("CPU")
        }
        if not machines:
            raise InputError(Problem("has no machine with cores: add one by `ray start --address`", _OPTION))
        remote = self.ray.remote(num_cpus=0, max_retries=MOST_LOST)(_checked)
        asked = {
            node: remote.options(scheduling_strategy=strategy(node, soft=False)).remote(check) for node in machines
        }
        ended: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        for node, reference in asked.items():
            reference.future().add_done_callback(lambda done, node=node: ended.put((node, done)))
        problems: list[Problem] = []
        while machines:
            try:
                node, done = ended.get(timeout=_NODE_S)
            except Empty:
                silent = sorted(machines.values())
                problems += [Problem(f"the machine {name} does not answer", _OPTION) for name in silent]
                break
            name = machines.pop(node)
            error = done.exception()
            if error is not None and not self._is_loss(error):
                problems.append(_without(name, error))
            elif error is None and done.result():
                problems += _other_program(name, done.result())
        if problems:
            raise InputError(*problems)

    def _is_loss(self, error: BaseException) -> bool:
        """Whether a worker or its machine is gone, and the task itself said nothing."""
        kinds = self.ray.exceptions
        lost = (
            kinds.WorkerCrashedError,
            kinds.NodeDiedError,
            kinds.LocalRayletDiedError,
            kinds.OutOfMemoryError,
            kinds.ObjectLostError,
            kinds.RpcError,
            kinds.TaskUnschedulableError,
        )
        return isinstance(error, lost)


@contextmanager
def joined(address: str = "") -> Iterator[Cluster]:
    """The cluster at an address; what is printed meanwhile goes to standard error, since Ray prints what it notices.

    Parameters
    ----------
    address : host:port of its head, `auto` for the one on this machine; without any that of `RAY_ADDRESS`, or the one
        on this machine, or one of this machine's cores that ends with the command

    Raises
    ------
    InputError : Ray is not installed, nothing answers there, or Ray or Python are others there
    """
    if find_spec("ray") is None:
        raise InputError(Problem("Ray is not installed: pip install 'servecast[ray]'", _EXECUTOR, got="ray"))
    _check_address(address or os.environ.get("RAY_ADDRESS", ""))
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray
    import ray.util.scheduling_strategies

    with redirect_stdout(sys.stderr):
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address or None, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
            raise InputError(Problem(f"cannot be joined: {_line(error)}", _OPTION, got=address or None)) from error
        try:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)
            yield Cluster(ray)
        finally:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse what is no address, or where nobody listens: Ray itself would wait for minutes."""
    if address in ("", "auto", "local"):
        return
    found = _ADDRESS.fullmatch(address)
    if not found or int(found[2]) > 65_535:
        raise InputError(Problem("must be host:port of the cluster's head, or auto", _OPTION, got=address))
    try:
        socket.create_connection((found[1], int(found[2])), _REACH_S).close()
    except OSError as error:
        text = f"cannot be reached: {error.strerror or error}; start one by `ray start --head`"
        raise InputError(Problem(text, _OPTION, got=address)) from error


def _ended(queue: SimpleQueue[tuple[int, Any]]) -> Iterator[tuple[int, Any]]:
    """What has ended by now, after at most `_LOOK_S`; while this waits signals are handled, which Ray would not do."""
    try:
        yield queue.get(timeout=_LOOK_S)
        while True:
            yield queue.get_nowait()
    except Empty:
        return


def _said(answer: bytes) -> Any:
    raised, said = pickle.loads(answer)
    if raised:
        raise said
    return said


def _answer(work: bytes, check: tuple[bytes, dict[str, str]], task: bytes) -> bytes:
    """On a machine of the cluster: what a task gives, or raises."""
    try:
        if others := _checked(check):
            raise InputError(*_other_program(socket.gethostname(), others))
        perform, shared = pickle.loads(work)
        return pickle.dumps((False, perform(shared, pickle.loads(task))))
    except Exception as error:
        return pickle.dumps((True, sendable(error)))


_SEEN: dict[bytes, dict[str, str]] = {}
"""Of a worker: what it found when it was first asked."""


def _checked(check: tuple[bytes, dict[str, str]]) -> dict[str, str]:
    """On a machine of the cluster: what of its program is other than it should be."""
    ensure_cache()
    program, wanted = check
    if program not in _SEEN:
        _SEEN[program] = dict(pickle.loads(program)())
    return {name: value for name, value in _SEEN[program].items() if wanted.get(name) != value}


def _other_program(machine: str, others: Mapping[str, str]) -> list[Problem]:
    text = f"the machine {machine} has another program than this one: install the same on both"
    return [Problem(text, _OPTION, path=name, got=value) for name, value in others.items()]


def _without(machine: str, error: BaseException) -> Problem:
    return Problem(f"the machine {machine} cannot run servecast, install it there: {_line(error)}", _OPTION)


def _line(error: BaseException) -> str:
    """The last line of what Ray says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
