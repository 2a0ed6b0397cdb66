"""Signals that end what is done, and are not lost where nobody waits for what is raised.

A handler runs at the next step of Python. While a kernel is compiled that is where LLVM hands the finished object over:
ctypes prints and forgets what is raised there, and Numba then has no object and fails. What is raised while an object
is being removed is forgotten as well. And where one comes between what LLVM has done and llvmlite's note of it, as
after modules were linked, both think that an object is theirs: it is freed twice, and the process dies. LLVM is where
a compiler spends most of its time, and a handler runs as soon as it returns. What is raised as Numba has opened a file
of its cache leaves it open, and one that is half written beside the others. What is raised as it loads what it can
compile leaves modules half loaded, whose registrations stay: nothing is compiled again in that process. DuckDB looks
for signals during a query and fails with an error of its own in place of what their handlers raise.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_S = 0.01
_WAITED_FOR = (f"llvmlite{os.sep}binding{os.sep}", f"numba{os.sep}core{os.sep}caching.py")
"""In the paths of whatever calls LLVM or is called by it, and of what reads and writes Numba's cache."""
_WHOLE = ("__del__", "_remove", "remove", "refresh")
"""What removes an object, and who only pointed to it; and what loads what a compiler can compile."""

_INTERRUPTED = "Query interrupted"
"""What DuckDB says then."""
_last: list[type[BaseException]] = [KeyboardInterrupt]

Handler = Callable[[int, FrameType | None], None]


def raises(error: type[BaseException]) -> Handler:
    """A handler that raises `error` as soon as that reaches whoever waits for it."""

    def handle(number: int, frame: FrameType | None) -> None:
        if _is_unsafe(frame):
            threading.Timer(_AGAIN_S, again, (number,)).start()
        else:
            _last[0] = error
            raise error

    def again(number: int) -> None:
        """Once more, unless whoever wanted it is done: without a handler the signal would end the process."""
        if signal.getsignal(number) in (handle, signal.default_int_handler):
            signal.pthread_kill(threading.main_thread().ident or 0, number)  # its own thread would leave it asleep

    return handle


@contextmanager
def compiling() -> Iterator[None]:
    """Have Ctrl-C wait for LLVM in programs that leave it to Python too: they may go on, and compile again."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, raises(KeyboardInterrupt))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def query() -> Iterator[None]:
    """A query of DuckDB, which a signal ends with what its handler raised last."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != _INTERRUPTED:
            raise
        raise _last[0] from None


def _is_unsafe(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name in _WHOLE or any(path in frame.f_code.co_filename for path in _WAITED_FOR):
            return True
        frame = frame.f_back
    return False
