"""What the benchmarks simulate is what they say: every request, the stated load, the stated sharing."""

from __future__ import annotations

import pytest

from simulator.run.bench import (
    BENCHMARKS,
    ISL_MEAN_TOKENS,
    OSL_MEAN_TOKENS,
    PREFIX_SHARE,
    PREFIX_TOKENS,
    Setting,
    bench_source,
    capacity_rps,
    fleet_spec,
    measure,
)
from simulator.simulate.capacity import replica_capacity_rps

REQUESTS = 2000


@pytest.mark.parametrize("setting", [setting for setting, _ in BENCHMARKS.values()])
def test_every_request_is_simulated_to_its_last_token(setting: Setting) -> None:
    source = bench_source(setting, 10.0 * setting.replicas, REQUESTS)
    chunks = list(source.chunks())
    result = measure(fleet_spec(setting), source)
    assert result.requests == sum(len(chunk) for chunk in chunks)
    assert result.batch_mean * result.steps == pytest.approx(sum(int(chunk.osl.sum()) for chunk in chunks))
    assert result.preemptions == 0


def test_prompts_share_as_much_as_stated() -> None:
    setting = Setting(prefix_caching=True)
    result = measure(fleet_spec(setting), bench_source(setting, 10.0, REQUESTS))
    most = PREFIX_SHARE * PREFIX_TOKENS / ISL_MEAN_TOKENS
    assert 0.8 * most < result.cached_share <= most


def test_saturated_throughput_is_near_the_full_batch_estimate() -> None:
    setting = Setting()
    estimate = replica_capacity_rps(fleet_spec(setting).pools[0], ISL_MEAN_TOKENS, OSL_MEAN_TOKENS)
    assert capacity_rps(setting) == pytest.approx(estimate, rel=0.25)
