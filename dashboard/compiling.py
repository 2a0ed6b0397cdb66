"""What a warm process waits for when it meets a kind of fleet that is new on this machine."""

from __future__ import annotations

import threading
from typing import Any

from numba.core import event

from dashboard.processes import Tell

COMPILING = "compiling"
_EVENTS = "numba:compiler_lock"
"""Whoever compiles, loads what was compiled, or waits until another process has compiled it, holds this lock."""
_LOADED_S = 2.0
"""What takes longer is no loading."""


class Watch(event.Listener):  # type: ignore[misc]
    """Tells that kernels are compiled, and when it is over.

    Parameters
    ----------
    tell : is told `COMPILING`, and nothing once it is over
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._depth = 0
        self._clock: threading.Timer | None = None
        self._told = False

    def on_start(self, event: Any) -> None:
        self._depth += 1
        if self._depth == 1:
            self._clock = threading.Timer(_LOADED_S, self._takes_long)
            self._clock.daemon = True
            self._clock.start()

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0 and self._clock is not None:
            self._clock.cancel()
            self._clock.join()
            if self._told:
                self._told = False
                self._tell("")

    def _takes_long(self) -> None:
        self._told = True
        self._tell(COMPILING)


def watch(tell: Tell) -> None:
    """Tell of every kernel that this process compiles, or waits for, from now on."""
    event.register(_EVENTS, Watch(tell))  # type: ignore[no-untyped-call]
