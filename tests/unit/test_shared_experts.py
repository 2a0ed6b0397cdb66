"""Replicas that share experts (`data_parallel_size`), from the scenario to the fleet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.resolve.engines import plan_engine
from simulator.resolve.topology import plan_topology
from simulator.schema.engine import EngineSettings


def noted(stages: int, folder: Path, **said: Any) -> tuple[str, ...]:
    settings = EngineSettings(enable_expert_parallel=True, max_model_len=8192, **said)
    return plan_engine("qwen3-30b-a3b", "h100-sxm", 1, stages, settings, folder).notes


@pytest.mark.parametrize(
    ("stages", "batching", "told"),
    [
        (1, "continuous", "2 replicas step together and wait for the slowest"),
        (2, "continuous", "is not simulated of replicas with pipeline stages"),
        (1, "static", "is not simulated of replicas whose batches are not vLLM's"),
        (1, "one_at_a_time", "is not simulated of replicas whose batches are not vLLM's"),
    ],
)
def test_what_is_said_of_ranks_is_what_is_simulated(stages: int, batching: str, told: str, tmp_path: Path) -> None:
    (said,) = [text for text in noted(stages, tmp_path, data_parallel_size=2, batching=batching) if "data par" in text]
    assert told in said
    assert not any("data par" in text for text in noted(stages, tmp_path, batching=batching))


def test_a_pool_knows_how_many_share_one_set_of_experts(tmp_path: Path) -> None:
    """A pool's own engine says else than the scenario's."""
    site = "site: datacentre, gpu: h100-sxm, billing: owned, replicas: 4"
    apart = "engine: {data_parallel_size: 1, enable_expert_parallel: false}"
    pools = f"[{{name: p, {site}}}, {{name: q, {site}, {apart}}}]"
    loaded = written(
        tmp_path,
        chat(f"own: {{pools: {pools}}}", study=""),
        "model=qwen3-30b-a3b",
        "engine.enable_expert_parallel=true",
        "engine.data_parallel_size=2",
    )
    planned = plan_topology(loaded, "own")
    assert [pool.shared_by for pool in planned.fleet.pools] == [2, 1]
