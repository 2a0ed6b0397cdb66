"""Signals that end what is done, and are not lost where nobody waits for what is raised.

A handler runs at the next step of Python. While a kernel is compiled that is where LLVM hands the finished object over:
ctypes prints and forgets what is raised there, and Numba then has no object and fails. What is raised while an object
is being removed is forgotten as well.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

_AGAIN_S = 0.01
_CALLED_BACK = ("_raw_object_cache_notify", "_raw_object_cache_getbuffer", "__del__", "_remove", "remove")
"""What LLVM calls, of `llvmlite.binding.executionengine`; what removes an object, and who only pointed to it."""

Handler = Callable[[int, FrameType | None], None]


def raises(error: type[BaseException]) -> Handler:
    """A handler that raises `error` as soon as that reaches whoever waits for it."""

    def handle(number: int, frame: FrameType | None) -> None:
        if _is_called_back(frame):
            threading.Timer(_AGAIN_S, signal.raise_signal, (number,)).start()
        else:
            raise error

    return handle


def _is_called_back(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name in _CALLED_BACK:
            return True
        frame = frame.f_back
    return False
