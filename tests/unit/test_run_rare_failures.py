"""A run that begins with all servers up says how much of their long-run downtime it has."""

from __future__ import annotations

import fleet_cases as cases
import numpy as np
import pytest

from simulator.run.rare_failures import down_share, rare_failures
from simulator.study.fleet import Reliability
from simulator.study.usage import Usage


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 20.0), (5.0, 30.0), (100.0, 400.0)])
def test_the_share_is_that_of_many_servers(start_s: float, end_s: float) -> None:
    """Servers that work for 30 s and are repaired for 10 s on average, counted one by one."""
    rng = np.random.default_rng(7)
    down_s = 0.0
    for _ in range(4_000):
        at_s = 0.0
        while at_s < end_s:
            at_s += rng.exponential(30.0)
            until_s = at_s + rng.exponential(10.0)
            down_s += max(min(until_s, end_s) - max(at_s, start_s), 0.0)
            at_s = until_s
    counted = down_s / 4_000 / (end_s - start_s)
    assert down_share(30.0, 10.0, start_s, end_s) == pytest.approx(counted, rel=0.06)


@pytest.mark.parametrize(
    ("changes", "end_s", "told"),
    [
        ({"reliability": Reliability(mtbf_s=9e6, mttr_s=86_400.0)}, 3_600.0, True),
        ({"reliability": Reliability(mtbf_s=9e6, mttr_s=360.0)}, 3_600.0, False),
        ({"reliability": Reliability(mtbf_s=9e6, mttr_s=86_400.0)}, 1e6, False),
        ({"reliability": Reliability(mtbf_s=9e6, mttr_s=86_400.0), "spares": 1, "swap_s": 60.0}, 3_600.0, False),
        ({"reliability": Reliability(mttr_s=86_400.0)}, 3_600.0, False),
    ],
)
def test_who_is_told(changes: dict[str, object], end_s: float, told: bool) -> None:
    """A repair of a day, of which an hour has 0.02 in the mean; of six minutes it has most, and of a swap too."""
    fleet = cases.fleet((cases.pool("p", 1, **changes),), classes=cases.classes(1))
    found = rare_failures(fleet, Usage(end_s, (), ()))
    assert bool(found) == told
    if told:
        assert "0.0095 of the time in the long run, and for 0.0002 of what is simulated" in found[0]
