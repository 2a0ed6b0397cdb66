"""Signals that end what is done, and are not lost where nobody waits for what is raised.

A handler runs at the next step of Python. While a kernel is compiled that is where LLVM hands the finished object over:
ctypes prints and forgets what is raised there, and Numba then has no object and fails. What is raised while an object
is being removed is forgotten as well. DuckDB looks for signals during a query and fails with an error of its own in
place of what their handlers raise.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.01
_CALLED_BACK = ("_raw_object_cache_notify", "_raw_object_cache_getbuffer", "__del__", "_remove", "remove")
"""What LLVM calls, of `llvmlite.binding.executionengine`; what removes an object, and who only pointed to it."""

_INTERRUPTED = "Query interrupted"
"""What DuckDB says then."""
_last: list[type[BaseException]] = [KeyboardInterrupt]

Handler = Callable[[int, FrameType | None], None]


def raises(error: type[BaseException]) -> Handler:
    """A handler that raises `error` as soon as that reaches whoever waits for it."""

    def handle(number: int, frame: FrameType | None) -> None:
        if _is_called_back(frame):
            threading.Timer(_AGAIN_S, signal.raise_signal, (number,)).start()
        else:
            _last[0] = error
            raise error

    return handle


@contextmanager
def query() -> Iterator[None]:
    """A query of DuckDB, which a signal ends with what its handler raised last."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise _last[0] from None


def _is_called_back(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name in _CALLED_BACK:
            return True
        frame = frame.f_back
    return False
