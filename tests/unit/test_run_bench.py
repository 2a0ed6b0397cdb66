"""What the benchmarks simulate is what they say: every request, the stated load, the stated sharing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numba
import pytest

from simulator.cli.doctor import warm_up as warm_all
from simulator.fleet import loss
from simulator.fleet.dataplane import DataPlane
from simulator.resolve.engines import plan_engine
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
    warm_up,
)
from simulator.schema.engine import EngineSettings
from simulator.simulate.capacity import replica_capacity_rps
from simulator.study.fleet import FleetSpec
from tests.parts import few

REQUESTS = 2000


SETTINGS = [setting for setting, _ in BENCHMARKS.values()]


@pytest.mark.parametrize("setting", few(SETTINGS, *(one for one in SETTINGS if not (one.windows or one.adapters))))
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


def test_a_warm_up_ends_as_runs_that_are_cut_off_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else their last kernels are compiled in the first run."""
    called = []
    for name in ("lose_replica", "end_unserved"):
        real = getattr(loss, name)
        monkeypatch.setattr(loss, name, lambda *args, real=real, name=name: (called.append(name), real(*args)))
    warm_up(Setting(asynchronous=True))
    assert called == ["lose_replica", "end_unserved"]


def kernels_of(spec: FleetSpec) -> tuple[Any, Any]:
    """Types for which a fleet's kernels are compiled."""
    places = tuple(pool.replicas for pool in spec.pools)
    plane = DataPlane(spec, bench_source(Setting(), 1.0, 100), places, 0, lambda _: None)
    return numba.typeof(plane.fleet), numba.typeof(plane.engines)


EAGLE = {"speculative_config": {"method": "eagle", "num_speculative_tokens": 2, "acceptance": 0.7}}


@pytest.mark.rare_kernels
def test_all_kinds_of_engines_are_warmed(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[Setting] = []
    monkeypatch.setattr("simulator.run.bench.warm_up", warmed.append)
    monkeypatch.setattr("simulator.processes.cores", lambda: 1)
    warm_all(everything=True)
    known = [kernels_of(fleet_spec(setting)) for setting in warmed]
    seen = set()
    for name, given in (
        ("llama-3.1-8b", {"async_scheduling": False}),
        ("llama-3.1-8b", EAGLE),
        ("gpt-oss-20b", {}),
        ("gpt-oss-20b", EAGLE),
        ("qwen3.6-27b", EAGLE),
        ("llama-3.1-8b", {"kv_offloading_size": 64}),
    ):
        spec = fleet_spec(Setting())
        planned = plan_engine(name, "b200", 1, 1, EngineSettings.model_validate(given), Path())
        pool = replace(
            spec.pools[0],
            engine=planned.config,
            step_time=planned.step_time,
            power_w_by_seqs=planned.power_w_by_seqs,
        )
        seen.add(known.index(kernels_of(replace(spec, pools=(pool,)))))
    assert seen == set(range(len(known)))
