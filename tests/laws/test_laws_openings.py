"""Targets that are open by the hour of the week."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import evenly, fleet, pool, provider, serve

from simulator.fleet.records import Reason, Status
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
    records = serve(replace(spec, week_s=start_s), evenly(1260, 1200.0, 5, 2), until_s=1e7).by_arrival
    assert records["target"].tolist() == [open_at(start_s + at_s) for at_s in records["arrival_s"].tolist()]
    assert set(records["target"].tolist()) == {0, 1}


def test_when_nothing_is_open_a_request_is_told_so() -> None:
    routing = RoutingSpec(TargetRouting.WEIGHTED, (0,), openings=(Opening(0.0, (True,)), Opening(3600.0, (False,))))
    records = serve(fleet((pool(),), (), routing, (ClassSpec("a", (True,)),)), evenly(8, 600.0, 5, 2)).by_arrival
    late = records["arrival_s"] >= 3600.0
    assert (records["status"] == np.where(late, Status.REJECTED, Status.COMPLETED)).all()
    assert (records["reason"] == np.where(late, Reason.NO_TARGET, Reason.NONE)).all()
