"""Blocks of several KV cache groups: none is lost, the null block is nobody's, and windows hold what they read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from engine_cases import step_time
from parts import few
from test_laws_groups_vs_reference import large_case, with_groups

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import GroupKind
from simulator.engine.modes.tables.arrays import kinds_of
from simulator.engine.state import DECODE, LANDING, NONE, PREFILL
from simulator.fleet.dataplane import DataPlane
from simulator.fleet.single import RequestList
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, FleetSpec, PoolSpec, RoutingSpec

pytestmark = pytest.mark.rare_kernels

LAYOUTS = ("windows and full", "two windows", "chunks", "states", "states and windows", "saved states")


SIZES = few([200, 25], 25)
"""Numbers of requests."""


def plane_of(config: EngineConfig, seed: int, n: int = 200) -> DataPlane:
    _, requests = large_case(seed, n)
    pool = PoolSpec("a", "", 1, 1, config, step_time(config), np.zeros(config.max_num_seqs + 1))
    spec = FleetSpec("one", (pool,), (), RoutingSpec(TargetRouting.WEIGHTED, (0,)), (ClassSpec("all", (True,)),))
    plane = DataPlane(spec, RequestList(requests), (1,), 0, lambda records: None)
    plane.activate(0, 0.0)
    return plane


def moments_s(seed: int, n: int = 200) -> list[float]:
    """Moments while requests arrive."""
    _, requests = large_case(seed, n)
    return np.linspace(0.0, float(requests.arrival_s[-1]), 80)[1:].tolist()


def free_list(plane: DataPlane) -> list[int]:
    blocks, index = plane.engines.blocks, int(plane.engines.replicas["free_head"][0])
    found = []
    while index != NONE:
        found.append(index)
        index = int(blocks["free_next"][index])
    return found


@pytest.mark.parametrize("flight", few(["sync", "async"], "async"))
@pytest.mark.parametrize("layout", few(LAYOUTS, "states and windows"))
@pytest.mark.parametrize("n", SIZES)
def test_every_block_is_free_or_held_and_the_null_block_neither(n: int, layout: str, flight: str) -> None:
    config = with_groups(replace(large_case(2, n)[0], enable_prefix_caching=True), layout, flight, "0.33.0")
    plane = plane_of(config, 2, n)
    kinds = kinds_of(config.modes.groups)
    seen = 0
    for until_s in moments_s(2, n):
        plane.advance(until_s)
        engines = plane.engines
        slots = engines.slots[np.isin(engines.slots["state"], (PREFILL, DECODE, LANDING))]
        held: Counter[int] = Counter()
        for slot in slots:
            for g in range(len(config.modes.groups)):
                k = int(engines.groups.kind_of[0, g])
                places = engines.groups.held[slot["row"], k]
                table = engines.groups.tables[slot["row"], g, places["begin"] : places["end"]]
                if kinds[k].kind == GroupKind.LINEAR:
                    table = table[table != 0]
                held.update(table.tolist())
        free = free_list(plane)
        assert 0 not in held
        assert 0 not in free
        assert len(free) == len(set(free)) == int(engines.replicas["free_blocks"][0])
        assert set(free).isdisjoint(held)
        assert len(free) + len(held) == config.num_blocks - 1
        assert all(int(engines.blocks["ref"][index]) == count for index, count in held.items())
        seen += len(slots)
    assert seen > 40


@pytest.mark.exhaustive
@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_the_prefix_cache_blocks_are_counted(layout: str) -> None:
    config = with_groups(replace(large_case(2)[0], enable_prefix_caching=False), layout, "sync", "0.33.0")
    plane = plane_of(config, 2)
    for until_s in moments_s(2):
        plane.advance(until_s)
        engines = plane.engines
        rows = engines.slots["row"][np.isin(engines.slots["state"], (PREFILL, DECODE))]
        held = engines.groups.held[rows]
        by_kind = (held["end"] - held["begin"]).astype(int).sum(axis=0)
        used = int((by_kind * engines.groups.kinds[0]["n_groups"]).sum())
        assert used + int(engines.replicas["free_blocks"][0]) == config.num_blocks - 1


@pytest.mark.parametrize("layout", few(LAYOUTS, "chunks"))
@pytest.mark.parametrize("n", SIZES)
def test_at_the_end_every_block_is_free(n: int, layout: str) -> None:
    config = with_groups(replace(large_case(3, n)[0], enable_prefix_caching=True), layout, "async", "0.32.0")
    plane = plane_of(config, 3, n)
    plane.advance(np.inf)
    assert len(free_list(plane)) == config.num_blocks - 1
