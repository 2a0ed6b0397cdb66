"""One command in this process, and how it ended."""

from __future__ import annotations

import contextlib
import io
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from simulator.endings import raises

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = (0, 1, 2)
MOST_REFUSED_S = 10.0
MOST_DONE_S = 90.0
"""Of the processor: other work on the cores is not the command's."""
MOST_WAITED_S = 4 * MOST_DONE_S
"""Of wall clock, for what waits and computes nothing."""
OVER = ("--time-limit: the time limit of", "--memory-limit: the memory limit of")
"""In the words of a run that its own limits ended, which is no refusal."""
MOST_BYTES = 2 * 1024**3
"""Address space beyond what the program needs by itself."""
MOST_TEXT = 6000
"""Characters of a refusal."""


class TooLongError(BaseException):
    """Past the time that a command may take."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    code, seconds : its exit code, and the CPU time that it took
    kind : what was wrong with it, in which place of the program; empty where nothing was
    """

    code: int
    seconds: float
    kind: str
    text: str


def bounded() -> None:
    """Bound what this process may allocate, so that a command that asks for more is told so."""
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MOST_BYTES, resource.RLIM_INFINITY))


def unbounded() -> None:
    """Room to tell of it."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def command(*arguments: str) -> Callable[[], int]:
    """The command line, as `main` runs it, without its net for what nobody foresaw."""

    def run() -> int:
        from simulator.cli.main import run_command

        return run_command(list(arguments))

    return run


def attempt(run: Callable[[], int]) -> Ended:
    """Call `run` with limits of time; what it prints is kept."""
    bounded()
    said, began, code, kind = io.StringIO(), time.process_time(), 3, ""
    try:
        with (
            _limited(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(said),
            warnings.catch_warnings(record=True) as warned,
        ):
            warnings.simplefilter("always")
            code = run()
        kind = next((f"warning: {each.category.__name__} {_short(each.filename)}:{each.lineno}" for each in warned), "")
    except TooLongError as error:
        kind = f"longer than {MOST_DONE_S:g} CPU-s or {MOST_WAITED_S:g} s in {_place(error)}"
    except BaseException as error:
        unbounded()
        kind = f"{type(error).__name__} in {_place(error)}"
        said.write("".join(traceback.format_exception(error)[-12:]))
    seconds, text = time.process_time() - began, said.getvalue()
    if not kind and code not in ALLOWED:
        kind = f"exit {code}: {text.strip()[:90]}"
    if not kind and code == 2 and seconds > MOST_REFUSED_S and not any(over in text for over in OVER):
        kind = f"refused after {seconds:.0f} CPU-s"
    if not kind and code == 2 and len(text) > MOST_TEXT:
        kind = f"refused with {len(text)} characters"
    if not kind and code == 2 and not text.strip():
        kind = "refused without a word"
    return Ended(code, seconds, kind, text)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    limits = (
        (signal.SIGPROF, signal.ITIMER_PROF, MOST_DONE_S),
        (signal.SIGALRM, signal.ITIMER_REAL, MOST_WAITED_S),
    )
    before = [signal.signal(number, raises(TooLongError)) for number, _, _ in limits]
    for _, timer, seconds in limits:
        signal.setitimer(timer, seconds, 1.0)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(limits, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def _place(error: BaseException) -> str:
    """Innermost line of our own that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if any(f"/{room}/" in frame.filename for room in ("simulator", "calibrate", "dashboard"))
    ]
    frame = own[-1] if own else frames[-1]
    return f"{_short(frame.filename)}:{frame.lineno} {frame.name}"


def _short(file: str) -> str:
    return file.removeprefix(f"{ROOT}/")
