"""Overload saturates: far above capacity, twice the load changes neither requests nor tokens per second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fleet_cases import ENGINE, classes, fleet, poisson, pool
from parts import few

from simulator.engine.config import EngineConfig
from simulator.engine.modes.spec import Flight, Modes, Waves
from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.accumulate import MetricAccumulator
from simulator.metrics.slo import ClassSlo

WARMUP_S, HORIZON_S = 50.0, 250.0


def rates(
    rate_rps: float, drain_s: float, engine: EngineConfig = ENGINE, horizon_s: float = HORIZON_S
) -> tuple[float, float]:
    """Requests and output tokens per second of the window, of two replicas that can do some 13 requests/s."""
    n, warmup_s = int(rate_rps * horizon_s), horizon_s * WARMUP_S / HORIZON_S
    requests = poisson(np.random.default_rng(3), n, rate_rps, class_id=np.zeros(n, np.int32))
    spec = fleet((pool(replicas=2, engine=engine),), classes=classes(1))
    metrics = MetricAccumulator([ClassSlo("a", ())], warmup_s, horizon_s, ["p"], 1)
    run = simulate_fleet(
        spec,
        RequestList(requests),
        horizon_s=horizon_s,
        drain_s=drain_s,
        warmup_s=warmup_s,
        seed=1,
        sink=metrics.add,
    )
    metrics.count_tokens(run.usage)
    found = metrics.summary()
    return found["throughput_rps"], found["output_tokens_per_s"]


@pytest.mark.parametrize("drain_s", [0.0, 1000.0])
def test_more_load_than_can_be_served_changes_no_rate(drain_s: float) -> None:
    check_saturation([rates(rate_rps, drain_s) for rate_rps in (5.0, 30.0, 60.0, 240.0)])


@pytest.mark.rare_kernels
@pytest.mark.parametrize("horizon_s", few([50.0, HORIZON_S], 50.0))
@pytest.mark.parametrize("flight", few([None, Flight(depth=2, asynchronous=True)], None))
def test_nor_of_ranks_that_share_experts_and_step_together(flight: Flight | None, horizon_s: float) -> None:
    ranks = replace(ENGINE, modes=Modes(flight=flight, waves=Waves(2, lock_step=True)))
    beyond = (240.0,) if horizon_s == HORIZON_S else ()
    check_saturation([rates(rate_rps, 0.0, ranks, horizon_s) for rate_rps in (5.0, 30.0, 60.0, *beyond)])


def check_saturation(at: list[tuple[float, float]]) -> None:
    assert at[0][0] == pytest.approx(5.0, rel=0.1)
    assert at[1][0] > 2 * at[0][0]
    for requests, tokens in at[2:]:
        assert requests == pytest.approx(at[1][0], rel=0.03)
        assert tokens == pytest.approx(at[1][1], rel=0.03)
