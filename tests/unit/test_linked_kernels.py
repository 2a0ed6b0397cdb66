"""Kernels are optimised with their entries: their values are those of Python, and of them there is no machine code."""

from __future__ import annotations

import numba
import pytest

from simulator.jit import entry, inline_kernel, kernel, shared_kernel

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@inline_kernel
def halved(value: int) -> int:
    return value // 2


@shared_kernel
def tripled(value: int) -> int:
    return 3 * value + 1


@kernel
def following(value: int) -> int:
    return halved(value) if value % 2 == 0 else tripled(value)


@kernel
def largest(value: int, steps: int) -> int:
    found = value
    for _ in range(steps):
        value = following(value)
        found = max(found, value)
    return found


@entry
def collatz(value: int) -> int:
    steps = 0
    while value != 1 and steps < 1000:
        steps += 1
        value = following(value)
    return steps * 10_000 + largest(27, 111)


def test_an_entry_has_the_code_of_all_that_it_calls() -> None:
    assert collatz(27) == 111 * 10_000 + 9232
    assert collatz(6) == 8 * 10_000 + 9232


def test_python_calls_entries_and_shared_kernels_alone() -> None:
    collatz(1)
    assert tripled(5) == 16
    for called in (following, halved):
        with pytest.raises(TypeError, match="bad argument type"):
            called(6)
