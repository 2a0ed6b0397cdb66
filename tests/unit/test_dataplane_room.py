"""Before many requests end at once there is room for each: its record, its timer, what APIs remember of its prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleet_cases import Source, evenly, fleet, pool, provider
from numpy.typing import NDArray

from simulator.engine import state as engine_state
from simulator.engine.allocate import reset_replica
from simulator.engine.state import NONE
from simulator.fleet import state
from simulator.fleet.dataplane import DataPlane
from simulator.study.fleet import PromptCache

MANY = 20_000


def plane(batches: list[NDArray[Any]]) -> DataPlane:
    api = provider(cache=PromptCache(60.0, 1, 1))
    return DataPlane(fleet((pool(),), (api,)), Source((evenly(10, 0.0, 20, 4),)), (1,), 1, batches.append)


def rooms(found: DataPlane) -> tuple[int, int, int]:
    """Records beside the scratch, timers, and nodes of prompt caches that there is still room for."""
    records = len(found.engines.out) - int(found.engines.counters[engine_state.N_OUT]) - len(found.engines.scratch)
    timers = len(found.fleet.timers) - int(found.fleet.scalars[state.N_TIMERS])
    return records, timers, int(found.fleet.scalars[state.CACHE_ROOM])


@pytest.mark.parametrize("n", [MANY, 2 * MANY])
def test_room_is_made_for_as_many_as_may_end(n: int) -> None:
    found = plane([])
    found.fleet.scalars[state.CACHE_NEED] = 6
    assert max(rooms(found)) < MANY
    found._ensure_out(n)
    records, timers, nodes = rooms(found)
    assert records == n + 8
    assert n + 8 <= timers < 2 * (n + 8)
    assert nodes >= 6 * (n + 1)


@pytest.mark.parametrize(("left", "is_anew"), [(23, True), (24, False), (25, False)])
def test_nodes_are_laid_anew_where_one_too_few_is_left(left: int, is_anew: bool) -> None:
    """Six for each of three that may end, and six for what arrives meanwhile."""
    found = plane([])
    found.fleet.scalars[state.CACHE_NEED], found.fleet.scalars[state.CACHE_ROOM] = 6, left
    found._ensure_out(3)
    nodes = int(found.fleet.scalars[state.CACHE_ROOM])
    assert (nodes >= 24, nodes != left) == (True, is_anew)


def test_a_replica_that_is_emptied_forgets_its_own_cache_and_no_other_s() -> None:
    found = DataPlane(fleet((pool(replicas=3),)), Source((evenly(1, 0.0),)), (3,), 1, [].append).engines
    base, mask = (found.replicas[name].tolist() for name in ("hash_base", "hash_mask"))
    assert mask == [mask[0]] * 3
    assert base == [0, mask[0] + 1, 2 * (mask[0] + 1)]
    found.hashes["first"], found.blocks["free_next"], found.free_rows[:] = 7, -7, -7
    reset_replica(found, 1)
    assert np.flatnonzero(found.hashes["first"] == NONE).tolist() == list(range(base[1], base[2]))
    blocks, rows = found.replicas["block_base"].tolist(), found.replicas["row_base"].tolist()
    assert np.flatnonzero(found.blocks["free_next"] != -7).tolist() == list(range(blocks[1], blocks[2]))
    n = blocks[2] - blocks[1]
    assert found.blocks["free_next"][blocks[1] : blocks[2]].tolist() == [*range(1, n), NONE]
    most = int(found.replicas["row_capacity"][1])
    assert sorted(found.free_rows[found.free_rows >= 0].tolist()) == list(range(rows[1], rows[1] + most))


def test_what_calls_asked_is_told_by_provider_and_limit_with_its_squares() -> None:
    """Two calls of 3 prompt and 2 answer tokens, of the second provider: requests, tokens, and each kind of token."""
    found = DataPlane(fleet((), (provider(), provider(name="other"))), Source((evenly(1, 0.0),)), (), 1, [].append)
    found.fleet.limits["asked"] = [0, 0, 0, 0, 2, 10, 6, 4]
    found.fleet.limits["asked_squares"] = [0, 0, 0, 0, 2, 50, 18, 8]
    assert found.asked().tolist() == [[[0, 0]] * 4, [[2, 2], [10, 50], [6, 18], [4, 8]]]


def test_where_there_is_room_nothing_is_laid_anew() -> None:
    found = plane([])
    found._ensure_out(MANY)
    out, timers, memory = found.engines.out, found.fleet.timers, found.fleet.memory
    for n in (0, 1, MANY):
        found._ensure_out(n)
        assert found.engines.out is out
        assert found.fleet.timers is timers
        assert found.fleet.memory is memory
    found._ensure_out(MANY + 1)
    assert len(found.engines.out) == len(out) + 1


def test_records_that_wait_are_handed_over_first() -> None:
    batches: list[NDArray[Any]] = []
    found = plane(batches)
    found.engines.out["request"][:3] = [7, 8, 9]
    found.engines.counters[engine_state.N_OUT] = 3
    found._ensure_out(MANY)
    assert np.concatenate(batches)["request"].tolist() == [7, 8, 9]
    assert found.engines.counters[engine_state.N_OUT] == 0
    assert rooms(found)[0] == MANY + 8
