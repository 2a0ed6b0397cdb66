"""Tuples of arrays are passed to kernels by their address: what these read and write is what Python would."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.by_reference import Reference, by_reference
from simulator.jit import entry, kernel


class Nothing(NamedTuple):
    """A mode that is off."""


class Inner(NamedTuple):
    """A mode that is on."""

    rows: NDArray[np.void]
    sums: NDArray[np.float64]


@by_reference
class Outer(NamedTuple):
    """Arrays of several kinds, and of modes."""

    counts: NDArray[np.int64]
    table: NDArray[np.int32]
    off: Any
    on: Any
    last: NDArray[np.float64]


@kernel
def _add(outer: Outer, k: int) -> None:
    row = outer.on.rows[k]
    row.total += outer.table[k, 1]
    outer.on.sums[k] += row.weight * outer.counts[k]
    outer.last[0] += outer.on.sums[k]


@kernel
def _total(inner: Inner) -> float:
    found = 0.0
    for k in range(len(inner.rows)):
        found += inner.rows[k].total
    return found


@entry
def _through(outer: Outer, times: int) -> float:
    """Arrays are read anew after each write, in this kernel and in those that it calls."""
    found = 0.0
    for _ in range(times):
        for k in range(len(outer.counts)):
            outer.counts[k] += 1
            _add(outer, k)
            found += outer.last[0]
    return found + _total(outer.on)


def _outer() -> Outer:
    rows = np.zeros(3, [("total", np.int32), ("weight", np.float64)])
    rows["weight"] = 0.5, 0.25, 3.0
    table = np.arange(6, dtype=np.int32).reshape(3, 2)
    return Outer(np.array([4, 5, 6]), table, Nothing(), Inner(rows, np.zeros(3)), np.zeros(1))


def _in_python(outer: Outer, times: int) -> float:
    found = 0.0
    for _ in range(times):
        for k in range(3):
            outer.counts[k] += 1
            outer.on.rows[k]["total"] += outer.table[k, 1]
            outer.on.sums[k] += outer.on.rows[k]["weight"] * outer.counts[k]
            outer.last[0] += outer.on.sums[k]
            found += outer.last[0]
    return float(found + sum(int(row["total"]) for row in outer.on.rows))


def test_a_kernel_reads_and_writes_what_python_would() -> None:
    compiled, plain = _outer(), _outer()
    assert _through(compiled, 7) == _in_python(plain, 7)
    for found, wanted in zip(
        (compiled.counts, *compiled.on, compiled.last), (plain.counts, *plain.on, plain.last), strict=True
    ):
        assert found.tobytes() == wanted.tobytes()


def test_each_call_takes_the_arrays_that_the_tuple_then_holds() -> None:
    first = _outer()
    other = first._replace(counts=np.array([40, 50, 60, 70])[:3], last=np.array([1000.0]))
    wanted = _in_python(_outer()._replace(counts=np.array([40, 50, 60]), last=np.array([1000.0])), 2)
    _through(_outer(), 2)
    assert _through(other, 2) == wanted
    assert first.last[0] == 0.0


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_the_type_tells_what_the_members_are() -> None:
    outer = _outer()
    kind, same = numba.typeof(outer), numba.typeof(_outer())
    assert isinstance(kind, Reference)
    assert kind == same
    assert hash(kind) == hash(same)
    assert kind != numba.typeof(outer._replace(off=outer.on))
    assert kind != numba.typeof(outer._replace(table=outer.table.astype(np.int64)))
    assert len(kind.name) < 64
