"""Windows of M/M/c queues that begin empty: a queue above its capacity is found to grow, one well below it is not."""

from __future__ import annotations

import numpy as np
import pytest

from bench.growing_queues import growing
from simulator.fleet.records import RECORD
from simulator.metrics.course import Course
from simulator.rng import stream

WINDOWS = 60


@pytest.mark.parametrize("servers", [1, 16])
def test_windows_of_a_thousand_tell_a_tenth_below_from_a_tenth_above(servers: int) -> None:
    assert growing(servers, 0.9, 1000, WINDOWS) <= 0.02
    assert growing(servers, 1.12, 1000, WINDOWS) >= 0.85


@pytest.mark.parametrize("down_from", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("mean", [300, 2000])
def test_servers_that_were_idle_until_they_went_down_are_not_overloaded_by_chance(mean: int, down_from: float) -> None:
    """What came before says nothing of what they can begin: with as many arrivals in each part it was a coin's fall."""
    rng = stream(5, f"down from {down_from} with {mean}")
    grow = 0
    for _ in range(WINDOWS):
        records = np.zeros(rng.poisson(mean), RECORD)
        came = np.sort(rng.random(len(records)))
        records["arrival_s"], records["scheduled_s"] = came, np.where(came < down_from, came, 1.5)
        records["isl"], records["prefill_target"] = 100, -1
        found = Course(0.0, 1.0)
        found.add(records)
        grow += found.grows
    assert grow / WINDOWS <= 0.02
