"""Warm processes that answer a line with a line: no visitor's work is done in the server's own process.

Pools of the standard library end none of their processes for taking long, break as a whole when one is killed, and
import the server's main module, which Streamlit replaces, into each.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dashboard.turns import next_round
from simulator.processes import cores

Tell = Callable[[str], None]
"""Takes what a process does before it can answer, in words; nothing once that is over."""
STARTING = "starting"
_DOING = "doing"
_PREPARED_S = 1200.0
"""At most, for what a process says that it does before it can answer: kernels may be compiled."""


def tell_nobody(doing: str) -> None:
    """For who asks and doesn't want to know."""


class _Process:
    def __init__(self, module: str) -> None:
        self._doing = STARTING
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any], wait_s: float, tell: Tell) -> dict[str, Any] | None:
        """The answer; None if the process is gone or takes too long, which ends it.

        What it does before it can answer, as it says, is told and not counted.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            return None
        while True:
            tell(self._doing)
            began_s = time.monotonic()
            line = self._line(_PREPARED_S if self._doing else wait_s)
            if not self._doing:
                wait_s -= time.monotonic() - began_s
            if not line.endswith("\n"):
                return None
            said: dict[str, Any] = json.loads(line)
            if _DOING not in said:
                return said
            self._doing = said[_DOING]

    def _line(self, wait_s: float) -> str:
        """What it says next; nothing if it is gone or takes too long, which ends it."""
        assert self._process.stdout is not None
        clock = threading.Timer(max(wait_s, 0.0), self._process.kill)
        clock.start()
        try:
            return self._process.stdout.readline()
        except OSError:
            return ""
        finally:
            clock.cancel()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A request, and the round in which it is served (`dashboard.turns`)."""

    visitor: str
    turn: int


class Pool:
    """Some processes of a module, handed out to visitors in turn; one that has died is started anew.

    Parameters
    ----------
    module : reads a request a line from its input and writes an answer a line
    processes : how many
    """

    def __init__(self, module: str, processes: int) -> None:
        self._module = module
        self._all = {_Process(module) for _ in range(processes)}
        self._idle = [*self._all]
        self._free = threading.Condition()
        self._line: list[_Asked] = []
        self._served: list[_Asked] = []
        atexit.register(self.end)

    def ask(
        self, request: dict[str, Any], wait_s: float, visitor: str = "", tell: Tell = tell_nobody
    ) -> dict[str, Any] | None:
        """The answer of the first process that is free; None if it died over it, or took longer than `wait_s`.

        Parameters
        ----------
        visitor : who asks: visitors take turns
        tell : is told what the process does before it can answer, which is not counted; raises nothing
        """
        mine, process, found = *self._wait(visitor), None
        try:
            found = process.ask(request, wait_s, tell)
        finally:
            if found is None:
                process.end()
                self._all.discard(process)
                process = _Process(self._module)
                self._all.add(process)
            with self._free:
                self._idle.append(process)
                self._served.remove(mine)
                self._free.notify_all()
        return found

    def _wait(self, visitor: str) -> tuple[_Asked, _Process]:
        """A process, once one is free and it is the visitor's turn."""
        with self._free:
            turn = next_round(visitor, *([(a.visitor, a.turn) for a in asked] for asked in (self._line, self._served)))
            mine = _Asked(visitor, turn)
            self._line.append(mine)
            self._free.wait_for(lambda: self._idle and min(self._line, key=lambda asked: asked.turn) is mine)
            self._line.remove(mine)
            self._served.append(mine)
            self._free.notify_all()
            return mine, self._idle.pop()

    def end(self) -> None:
        """End all of them."""
        for process in self._all:
            process.end()


_LOCK = threading.Lock()
_POOLS: dict[str, Pool] = {}
"""Not in a cache of Streamlit's: a browser may clear those, and each time would leave processes behind."""


def pool(module: str, processes: int) -> Pool:
    """The server's pool of a module, started by the first call."""
    with _LOCK:
        if module not in _POOLS:
            _POOLS[module] = Pool(module, processes)
        return _POOLS[module]


def spare_cores(most: int) -> int:
    """Cores for work beside the pages, to which one is left: at least one, at most `most`."""
    return max(1, min(most, cores() - 1))


def answer_lines(
    answer: Callable[[dict[str, Any]], dict[str, Any]],
    warm_up: Callable[[], object] = lambda: None,
    watch: Callable[[Tell], None] = lambda tell: None,
) -> None:
    """Answer until the other side is gone, and end without a word then; what is printed meanwhile goes to stderr.

    Parameters
    ----------
    warm_up : called before the first line is read
    watch : called before that, with what it may tell whenever something goes on that no answer is to blame for
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    alone = threading.Lock()
    otherwise = STARTING

    def say(said: dict[str, Any]) -> None:
        with alone:
            try:
                answers.write(json.dumps(said) + "\n")
                answers.flush()
            except BrokenPipeError:
                os._exit(0)

    def tell(doing: str) -> None:
        say({_DOING: doing or otherwise})

    watch(tell)
    warm_up()
    otherwise = ""
    tell("")
    for line in sys.stdin:
        say(answer(json.loads(line)))
