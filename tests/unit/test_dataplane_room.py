"""Before many requests end at once there is room for each: its record, its timer, what APIs remember of its prompt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleet_cases import Source, evenly, fleet, pool, provider
from numpy.typing import NDArray

from simulator.engine import state as engine_state
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
