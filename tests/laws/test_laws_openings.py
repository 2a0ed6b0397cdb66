"""Targets that are open by the hour of the week."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import Source, evenly, fleet, poisson, pool, provider, serve

from simulator.fleet.records import Reason, Status
from simulator.fleet.simulate import simulate_fleet
from simulator.rng import stream
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, Opening, RoutingSpec
from simulator.units import SECONDS_PER_WEEK

DAY = SECONDS_PER_WEEK / 7
WEEKLY = (Opening(0.0, (False, True)), Opening(DAY + 8 * 3600, (True, False)), Opening(DAY + 18 * 3600, (False, True)))


def open_at(week_s: float) -> int:
    """Target that `WEEKLY` has at a time of the week."""
    return 0 if DAY + 8 * 3600 <= week_s % SECONDS_PER_WEEK < DAY + 18 * 3600 else 1


@pytest.mark.parametrize("kind", [TargetRouting.WEIGHTED, TargetRouting.OVERFLOW])
@pytest.mark.parametrize("start_s", [0.0, 1.5 * DAY, 6.9 * DAY, 20.3 * DAY])
def test_requests_go_where_the_hour_says(kind: TargetRouting, start_s: float) -> None:
    """Two weeks and a half, one request each 20 minutes, from some time of the week on."""
    routing = RoutingSpec(kind, (0, 1), openings=WEEKLY)
    spec = fleet((pool(),), (provider(error_probability=0.0),), routing)
    records = serve(replace(spec, clock_s=start_s), evenly(1260, 1200.0, 5, 2), until_s=1e7).by_arrival
    assert records["target"].tolist() == [open_at(start_s + at_s) for at_s in records["arrival_s"].tolist()]
    assert set(records["target"].tolist()) == {0, 1}


def test_when_nothing_is_open_a_request_is_told_so() -> None:
    routing = RoutingSpec(TargetRouting.WEIGHTED, (0,), openings=(Opening(0.0, (True,)), Opening(3600.0, (False,))))
    records = serve(fleet((pool(),), (), routing, (ClassSpec("a", (True,)),)), evenly(8, 600.0, 5, 2)).by_arrival
    late = records["arrival_s"] >= 3600.0
    assert (records["status"] == np.where(late, Status.REJECTED, Status.COMPLETED)).all()
    assert (records["reason"] == np.where(late, Reason.NO_TARGET, Reason.NONE)).all()


def test_the_order_of_targets_changes_nothing() -> None:
    """Hours, luck of calls and counters follow a target wherever it stands."""
    two = (pool("p"), pool("q", replicas=2, network_s=0.01))
    apis = (provider(error_probability=0.2, luck="x"), provider(error_probability=0.3, luck="y", price_bands=(0, 30)))
    requests = poisson(stream(4, "openings"), 300, 0.05)
    found = []
    for pools, providers, order in ((two, apis, (0, 1, 2, 3)), (two[::-1], apis[::-1], (1, 0, 3, 2))):
        openings = tuple(
            replace(row, targets=tuple(row.targets[k] for k in order))
            for row in (Opening(0.0, (True, False, True, True)), Opening(3000.0, (False, True, False, True)))
        )
        spec = fleet(pools, providers, RoutingSpec(TargetRouting.WEIGHTED, (0, 1, 2, 3), openings=openings))
        batches: list[np.ndarray] = []
        run = simulate_fleet(
            spec, Source((requests,)), horizon_s=7000.0, drain_s=100.0, warmup_s=0.0, seed=3, sink=batches.append
        )
        records = np.sort(np.concatenate(batches), order="request")
        usages = [*run.usage.pools, *run.usage.providers]
        counts = [usage.work.tolist() for usage in run.usage.pools] + [
            (usage.tokens.tolist(), usage.failed_calls.tolist()) for usage in run.usage.providers
        ]
        assert len(usages) == 4
        place = np.argsort(order)
        found.append(([order.index(t) for t in records["target"].tolist()], [counts[k] for k in place]))
    assert found[0] == found[1]
    assert len(set(found[0][0])) == 4
