"""What ends a run while a kernel is compiled ends it in words, and leaves a compiler that works."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from types import FrameType

import numba
import pytest

from simulator.endings import query, raises
from simulator.errors import InputError
from simulator.run.budget import Budget, within

HOOKS = ("_raw_object_cache_notify", "_object_compiled_hook", "_object_getbuffer_hook")
HOUR_S, PATIENCE_S = 3600.0, 5.0
may_break_off_writing = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
"""Numba may just have opened a file of its cache, which Python then closes with a word."""


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


@may_break_off_writing
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
@pytest.mark.parametrize("hook", HOOKS)
def test_a_limit_of_time_that_is_over_while_an_object_is_handed_over_ends_by_design(hook: str) -> None:
    with pytest.raises(InputError, match="the time limit of 3600 s is over"), within(Budget(HOUR_S, 2.0**40)):
        compile_while(signal.SIGALRM, hook)


@may_break_off_writing
@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")
def test_so_does_an_interrupt() -> None:
    before = signal.signal(signal.SIGINT, raises(KeyboardInterrupt))
    try:
        with pytest.raises(KeyboardInterrupt):
            compile_while(signal.SIGINT, HOOKS[0])
    finally:
        signal.signal(signal.SIGINT, before)


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
