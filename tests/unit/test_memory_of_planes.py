"""What a simulation takes it gives back at its end, and what no request reaches takes nothing."""

from __future__ import annotations

import gc
import resource
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fleet_cases import Source, evenly, fleet, pool

from simulator.engine import state
from simulator.engine.allocate import EnginePool, allocate_engines, grow_rows, reset_replica, widen_tables
from simulator.engine.pages import untouched
from simulator.fleet import simulation
from simulator.fleet.dataplane import DataPlane, Sink
from simulator.fleet.records import RECORD
from simulator.fleet.simulate import simulate_fleet
from simulator.run.bench import Setting, fleet_spec


def private_bytes() -> int:
    """What counts against RLIMIT_DATA."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_only_what_is_written_takes_memory() -> None:
    """4 GiB of which one row of 16 KiB is used."""
    before = private_bytes(), resident_bytes()
    table = untouched(2**18, 2**12)
    table[77] = 5
    assert table[77].tolist() == [5] * 2**12
    assert private_bytes() - before[0] < 2**26
    assert resident_bytes() - before[1] < 2**26


@pytest.mark.parametrize("shape", [(0,), (3, 0, 7), (1, 5), (1023,), (1024,), (1025, 3)])
def test_arrays_have_their_shape_and_are_their_own(shape: tuple[int, ...]) -> None:
    one, other = untouched(*shape), untouched(*shape)
    assert (one.shape, one.dtype) == (shape, np.int32)
    one[...] = 1
    other[...] = 2
    assert (one == 1).all()


def serve(sink: Sink = lambda records: None) -> None:
    source = Source((evenly(10, 0.0, 20, 4),))
    span = {"horizon_s": 10.0, "drain_s": 5.0, "warmup_s": 0.0}
    simulate_fleet(fleet((pool(),)), source, sink=sink, seed=1, **span)


@pytest.fixture
def planes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Weak references to the replicas' arrays of each plane that is made, with nobody who looks for circles.

    Kernels are compiled before: that leaves circles with what they were called with.
    """
    made: list[Any] = []
    serve()

    class Seen(DataPlane):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(weakref.ref(self.engines.replicas))

    monkeypatch.setattr(simulation, "DataPlane", Seen)
    gc.disable()
    yield made
    gc.enable()


def test_a_simulation_gives_its_memory_back_at_its_end(planes: list[Any]) -> None:
    serve()
    assert [one() for one in planes] == [None]


def test_one_that_is_ended_gives_it_back_too(planes: list[Any]) -> None:
    def refuses(records: Any) -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        serve(refuses)
    assert [one() for one in planes] == [None]


def test_more_rows_of_a_replica_keep_what_those_in_use_hold() -> None:
    """Two replicas of several KV groups: the second gets twice as many rows, and its request's row moves."""
    one = fleet_spec(Setting(windows=True)).pools[0]
    pools = [EnginePool(one.engine, one.step_time, one.power_w_by_seqs, 2)]
    engines = widen_tables(allocate_engines(pools, 1, RECORD), 1_000)
    for r in range(2):
        reset_replica(engines, r)
    most = one.engine.max_num_seqs
    for index, (replica, row) in enumerate([(0, 3), (1, most + 2)]):
        engines.slots[index]["replica"], engines.slots[index]["row"] = replica, row
        engines.slots[index]["state"] = state.DECODE
        engines.tables[row], engines.groups.tables[row] = 10 + index, 20 + index
        engines.groups.rows[row], engines.groups.held[row] = 30 + index, 40 + index
    held = [(engines.groups.rows[row].copy(), engines.groups.held[row].copy()) for row in (3, most + 2)]
    grown = grow_rows(engines, 1)
    rows = grown.slots["row"][:2].tolist()
    assert rows == [3, 2 * most + 2]
    for index, row in enumerate(rows):
        assert set(grown.tables[row]) == {10 + index}
        assert set(grown.groups.tables[row].ravel()) == {20 + index}
        assert (grown.groups.rows[row], grown.groups.held[row].tolist()) == (held[index][0], held[index][1].tolist())
    assert [len(each) for each in (grown.tables, grown.groups.tables, grown.groups.rows)] == [4 * most] * 3


def test_few_records_wait_for_more_before_they_are_handed_over() -> None:
    """Ten a second, looked at every three seconds: 60 are too few after six, and after nine there are enough."""
    batches: list[int] = []
    span = {"horizon_s": 30.0, "drain_s": 5.0, "warmup_s": 0.0, "flush_s": 3.0}
    sent = Source((evenly(300, 0.1, 20, 4),))
    simulate_fleet(fleet((pool(),)), sent, sink=lambda records: batches.append(len(records)), seed=1, **span)
    assert sum(batches) == 300
    assert [round(n, -1) for n in batches] == [90, 90, 90, 30, 0], "the last one is still served at the horizon"
