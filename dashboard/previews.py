"""Short runs in warm processes: kernels are loaded once, and no user waits for another's script."""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import streamlit as st

from simulator.errors import InputError, Problem

_WAIT_S = 180.0
"""A first answer may have to wait for kernels to be compiled."""


class _Process:
    """One warm process that answers a line with a line."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.preview_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None if the process is gone or takes too long, which ends it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        clock = threading.Timer(_WAIT_S, self._process.kill)
        clock.start()
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            return None
        finally:
            clock.cancel()
        return json.loads(line) if line.endswith("\n") else None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


class _Pool:
    """As many processes as cores but one, handed out in turn; one that has died is started anew."""

    def __init__(self) -> None:
        self._idle: queue.Queue[_Process] = queue.Queue()
        self._all = {_Process() for _ in range(max(1, min(4, (os.cpu_count() or 2) - 1)))}
        for process in self._all:
            self._idle.put(process)
        atexit.register(self.end)

    def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        process = self._idle.get()
        try:
            found = process.ask(request)
        except BaseException:
            found = None
            raise
        finally:
            if found is None:
                process.end()
                self._all.discard(process)
                process = _Process()
                self._all.add(process)
            self._idle.put(process)
        return found

    def end(self) -> None:
        for process in self._all:
            process.end()


@st.cache_resource(show_spinner=False)
def pool() -> _Pool:
    """The server's processes, started by the first call."""
    return _Pool()


def preview(file: Path, sets: tuple[str, ...]) -> dict[str, Any]:
    """Summary of a shortened run of the scenario with values set: `summary` and the simulated `horizon_s`.

    Raises
    ------
    InputError : values that make no valid scenario, or the process was killed or took too long
    """
    found = pool().ask({"file": str(file), "sets": list(sets)})
    if found is None:
        raise InputError(f"no answer within {_WAIT_S:g} s, or the process was killed; run it in full instead")
    if "problems" in found:
        raise InputError(*(Problem(text) for text in found["problems"]))
    return found
