"""The twin of a watched server: the load that it rebuilds, and a drift that is known because we made it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from live_server import history
from parts import few

from calibrate.live.drift import estimate
from calibrate.live.load import description, seen_load, twin_requests, workload_section
from calibrate.live.twin import Twin, compare, server_config, simulate_twin
from calibrate.live.window import Observation, observe
from simulator.engine.config import EngineConfig
from simulator.errors import InputError
from simulator.fleet.single import run_single
from simulator.perf.steptime import StepTime
from simulator.rng import stream
from simulator.workload.describe import write_description
from simulator.workload.description import read_description
from simulator.workload.requests import make_requests

CONFIG = EngineConfig(num_blocks=4000, max_num_batched_tokens=2048, max_num_seqs=64, max_model_len=8192)
TOKENS, SEQS = np.arange(2049), np.arange(65)
PROFILE = StepTime((0.006 + 4e-5 * TOKENS)[None, :], 1e-4 * SEQS, 1e-9, 2e-8, True, "made up")


def slower(factor: float, overhead_s: float = 0.0) -> StepTime:
    return dataclasses.replace(PROFILE.scaled(factor), request_overhead_s=overhead_s)


def watched(factor: float, overhead_s: float = 0.0, shared: int = 0, n: int = 1500) -> Observation:
    """Metrics of a server whose steps take `factor` times as long as the profile says."""
    draw = stream(3, "watched")
    arrival_s = np.cumsum(draw.exponential(0.25, n))
    isl = np.clip(draw.lognormal(5.5, 0.8, n), shared + 1, 4000).astype(np.int32)
    osl = np.clip(draw.lognormal(4.0, 0.7, n), 1, 1000).astype(np.int32)
    columns = {}
    if shared:
        columns = {
            "segment_start": np.arange(n + 1),
            "segment_id": np.zeros(n, np.int64),
            "segment_tokens": np.full(n, shared, np.int32),
        }
    records = run_single(CONFIG, slower(factor, overhead_s), make_requests(arrival_s, isl, osl, **columns)).records
    return observe(history(records, 5.0))


def twin_of(observation: Observation, factor: float) -> Twin:
    return simulate_twin(observation, CONFIG, slower(factor), 11)


@pytest.mark.parametrize("factor", few([0.85, 1.0, 1.2], 1.2))
def test_a_made_up_drift_is_found(factor: float) -> None:
    observation = watched(factor)
    drift = estimate(observation, lambda scale: twin_of(observation, scale), threshold=0.05, seed=11)
    assert drift.factor == pytest.approx(factor, abs=0.04)
    assert drift.low < drift.factor < drift.high
    assert drift.significant == (factor != 1.0)
    assert len(drift.slices) > 5


def test_without_gaps_between_tokens_no_drift_is_known() -> None:
    observation = watched(1.2, n=200)
    twin = twin_of(observation, 1.0)
    single = dataclasses.replace(twin, osl=np.ones_like(twin.osl))
    drift = estimate(observation, lambda _: single, threshold=0.05, seed=11)
    assert (drift.factor, drift.low, drift.high, drift.significant) == (1.0, 0.0, np.inf, False)
    assert drift.slices == ()


def test_time_outside_the_steps_shows_in_ttft() -> None:
    observation = watched(1.0, overhead_s=0.08)
    drift = estimate(observation, lambda scale: twin_of(observation, scale), threshold=0.05, seed=11)
    assert drift.ttft_excess_s == pytest.approx(0.08, abs=0.02)


def test_the_load_is_rebuilt(tmp_path: Path) -> None:
    observation = watched(1.0, shared=256)
    load = seen_load(observation)
    requests = twin_requests(observation, 1)
    assert load.rate_rps == pytest.approx(4.0, rel=0.08)
    assert len(requests) == pytest.approx(observation.arrivals, abs=0.5 * len(observation.windows))
    assert requests.isl.mean() == pytest.approx(load.isl_mean, rel=0.05)
    assert requests.osl.mean() == pytest.approx(load.osl_mean, rel=0.06)
    assert load.shared_tokens == pytest.approx(256, abs=20)
    assert twin_of(observation, 1.0).hit_share == pytest.approx(load.hit_share, abs=0.06)
    write_description(description(observation, 1), tmp_path / "traffic.json")
    described = read_description(tmp_path / "traffic.json")
    assert described.counts.sum() == len(requests)
    section = workload_section(observation, "traffic.json")
    assert section["classes"][0]["prefixes"]["tokens"] == load.shared_tokens


def test_prediction_of_an_unchanged_server_lies_in_its_buckets() -> None:
    observation = watched(1.0)
    rows = {(row["metric"], row["statistic"]): row for row in compare(observation, twin_of(observation, 1.0))}
    for metric in ("ttft_s", "itl_s", "tpot_s", "e2e_s"):
        assert abs(rows[metric, "mean"]["error"]) < 0.08
        assert rows[metric, "p50"]["bound"] > 0
        assert abs(rows[metric, "p50"]["error"]) < 0.1


def test_too_little_traffic_is_an_error() -> None:
    with pytest.raises(InputError, match="at least 20 are needed"):
        seen_load(watched(1.0, n=5))


def test_the_server_decides_its_cache() -> None:
    config = server_config(CONFIG, {"block_size": "32", "num_gpu_blocks": "123", "enable_prefix_caching": "False"})
    assert (config.block_size, config.num_blocks, config.enable_prefix_caching) == (32, 123, False)
    assert server_config(CONFIG, {"num_gpu_blocks": "None"}) == CONFIG
