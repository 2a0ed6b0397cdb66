"""Standard streams as commands can rely on them: open, of some width, and written out before the exit code is given."""

from __future__ import annotations

import os
import shutil
import sys
from io import TextIOWrapper
from typing import TextIO

from simulator.cli.problems import of_system

LEAST_COLUMNS = 20
"""Help in columns of fewer characters has no room for its frames, and is laid out for ever."""


def prepare() -> None:
    """Give closed streams the null device, letters that stdout's encoding lacks a '?', a terminal of no width some.

    A file that is opened while a stream is closed takes its number, and what is told would be written into it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if shutil.get_terminal_size().columns < LEAST_COLUMNS:
        os.environ["COLUMNS"] = str(LEAST_COLUMNS)


def tell(text: str) -> None:
    """A line of ours on stderr, wherever that leads."""
    try:
        print(f"servecast: {text}", file=sys.stderr, flush=True)
    except OSError:
        _leave(sys.stderr)


def written_out(code: int) -> int:
    """The exit code of a command once all that it printed is written: 2 where that failed.

    Who reads no more, as `head`, has what was asked for.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave(sys.stdout)
    except OSError as error:
        _leave(sys.stdout)
        tell(of_system(error))
        return 2
    return code


def _leave(stream: TextIO) -> None:
    """Let what could not be written go to the null device: Python writes it once more as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
