"""Variables of the environment at which a library would end, or warn in words of its own."""

from __future__ import annotations

import os

from simulator.cli.streams import tell

_THREADS = "NUMBA_NUM_THREADS"


def leave_out_unreadable() -> None:
    """Leave out a number of threads that is none, before Numba reads it; kernels take one thread each."""
    try:
        is_number = int(os.environ.get(_THREADS, "1")) > 0
    except ValueError:
        is_number = False
    if not is_number:
        del os.environ[_THREADS]
        tell(f"{_THREADS} is no number of threads: it is ignored")
