"""What ends a run while a kernel is compiled ends it in words, and leaves a compiler that works."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import FrameType

import numba
import pytest

from simulator.endings import query, raises
from simulator.errors import InputError
from simulator.jit import entry
from simulator.run.budget import Budget, within

HOOKS = ("_raw_object_cache_notify", "_object_compiled_hook", "_object_getbuffer_hook")
HOUR_S, PATIENCE_S = 3600.0, 5.0


def add_one(value: int) -> int:
    return value + 1


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


def compile_while(number: int, hook: str) -> None:
    """Compile a kernel while this signal comes in that hook of the compiler, and wait for what that raises."""
    sent: list[str] = []

    def send(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == hook and not sent:
            sent.append(hook)
            signal.raise_signal(number)

    compiled = numba.njit(cache=True)(add_one)
    sys.setprofile(send)
    try:
        assert compiled(1) == 2
        assert sent, "the compiler has other hooks now"
        time.sleep(PATIENCE_S)
    finally:
        sys.setprofile(None)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("hook", HOOKS)
def test_a_limit_of_time_that_is_over_while_an_object_is_handed_over_ends_by_design(hook: str) -> None:
    with pytest.raises(InputError, match="the time limit of 3600 s is over"), within(Budget(HOUR_S, 2.0**40)):
        compile_while(signal.SIGALRM, hook)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_so_does_an_interrupt() -> None:
    before = signal.signal(signal.SIGINT, raises(KeyboardInterrupt))
    try:
        with pytest.raises(KeyboardInterrupt):
            compile_while(signal.SIGINT, HOOKS[0])
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("nth", range(4))
def test_a_file_of_the_cache_that_was_just_opened_is_closed_and_whole(nth: int, tmp_path: Path) -> None:
    """The index as it is looked for, the object and the index as they are written, the index as it is read again."""
    opened: list[str] = []

    def send(frame: FrameType, event: str, function: object) -> None:
        if event == "c_return" and function is open and "caching" in frame.f_code.co_filename:
            opened.append(frame.f_code.co_name)
            if len(opened) == nth + 1:
                signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, raises(KeyboardInterrupt))
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            sys.setprofile(send)
            with pytest.raises(KeyboardInterrupt):
                _compile_twice()
            sys.setprofile(None)
            gc.collect()
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGINT, before)
    assert len(opened) > nth, "the cache has other files now"
    assert not warned
    assert not [*tmp_path.rglob("*.tmp.*")]


def _compile_twice() -> None:
    for _ in range(2):
        assert numba.njit(cache=True)(add_one)(1) == 2
    time.sleep(PATIENCE_S)


def test_so_does_one_that_comes_while_an_object_is_removed() -> None:
    class Gone:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def lose() -> None:
        Gone()
        time.sleep(PATIENCE_S)

    before = signal.signal(signal.SIGINT, raises(KeyboardInterrupt))
    try:
        with pytest.raises(KeyboardInterrupt):
            lose()
    finally:
        signal.signal(signal.SIGINT, before)


STOPPED_WITHIN_LLVM = """
import gc, signal, sys, time
from contextlib import nullcontext
import numba
from simulator.endings import compiling, raises
from simulator.jit import ENTRY, LINKED, OPTIONS

def kernel(added):
    called = numba.njit(**OPTIONS, **LINKED)(lambda value: value + added)
    return numba.njit(**OPTIONS, **{{**ENTRY, "cache": False}})(lambda value: 2 * called(value))

def ended_after(function):
    def send(frame, event, _):
        names = frame.f_code.co_name, frame.f_back and frame.f_back.f_code.co_name
        if event == "return" and names == ("__call__", function) and not sent:
            sent.append(function)
            signal.raise_signal(signal.SIGINT)

    sent = []
    compiled = kernel(len(function))
    sys.setprofile(send)
    try:
        with {around}:
            compiled(1)
        time.sleep({patience})
    except KeyboardInterrupt:
        print(*sent)
    finally:
        sys.setprofile(None)
    gc.collect()
    assert compiled(1) == 2 + 2 * len(function)

signal.signal(signal.SIGINT, {handler})
for function in ("link_modules", "add_module", "_dispose") * 5:
    ended_after(function)
"""
"""What LLVM has linked, taken or freed, and llvmlite has yet to note."""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize(
    ("handler", "around"),
    [("raises(KeyboardInterrupt)", "nullcontext()"), ("signal.default_int_handler", "compiling()")],
)
def test_an_interrupt_as_llvm_returns_leaves_nothing_to_be_freed_twice(handler: str, around: str) -> None:
    """A process that goes on behind it compiles on: it died of SIGSEGV, or of a double free."""
    program = STOPPED_WITHIN_LLVM.format(handler=handler, around=around, patience=PATIENCE_S)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["link_modules", "add_module", "_dispose"] * 5


STOPPED_WHILE_LOADED = """
import signal, sys, time
import numba
from simulator.endings import raises

def send(frame, event, _):
    is_module = event == "return" and frame.f_code.co_name == "<module>"
    if is_module and frame.f_code.co_filename.endswith("cpython/unicode.py") and not sent:
        sent.append(1)
        signal.raise_signal(signal.SIGINT)

def stopped():
    sys.setprofile(send)
    try:
        numba.njit(lambda value: value + 1)(1)
        time.sleep({patience})
    except KeyboardInterrupt:
        print("interrupted", *sent)
    finally:
        sys.setprofile(None)

sent = []
signal.signal(signal.SIGINT, raises(KeyboardInterrupt))
stopped()
assert numba.njit(lambda value: value + 2)(1) == 3
"""
"""A module of Numba's has told what it can compile, and is not yet loaded."""


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_an_interrupt_while_the_compiler_is_loaded_leaves_one_that_compiles() -> None:
    program = STOPPED_WHILE_LOADED.format(patience=PATIENCE_S)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "interrupted 1\n"


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_a_program_that_leaves_interrupts_to_python_has_them_wait_for_llvm_too() -> None:
    found: list[object] = []

    def see(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "add_module":
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.setprofile(see)
    try:
        assert entry(add_one)(1) == 2
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGINT, before)
    assert found
    assert signal.default_int_handler not in found


def test_a_limit_that_was_put_off_until_its_work_is_done_ends_nothing_else() -> None:
    """Nobody catches it any more: the signal itself ended the process."""
    sent: list[int] = []
    source = "def link_modules():\n    signal.raise_signal(signal.SIGALRM)\n    sent.append(1)\n"
    space = {"signal": signal, "sent": sent}
    exec(compile(source, "/site-packages/llvmlite/binding/linker.py", "exec"), space)
    before = signal.getsignal(signal.SIGALRM)
    later: list[int] = []
    with within(Budget(HOUR_S, 2.0**40)):
        space["link_modules"]()
    signal.signal(signal.SIGALRM, lambda number, frame: later.append(number))
    try:
        time.sleep(0.2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (sent, later) == ([1], [])


class _OverError(Exception):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, _OverError])
def test_a_query_ends_with_what_its_signal_raises(error: type[BaseException]) -> None:
    """DuckDB forgets what a handler raised during a query, and fails with words of its own."""
    with pytest.raises(error):
        raises(error)(signal.SIGALRM, None)
    with pytest.raises(error), query():
        raise RuntimeError("Query interrupted")


def test_other_errors_of_a_query_stay() -> None:
    with pytest.raises(RuntimeError, match="another"), query():
        raise RuntimeError("another")
