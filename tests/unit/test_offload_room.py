"""What the arrays of a memory of the CPU take, which a run is told before it begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.engine.config import EngineConfig
from simulator.engine.modes.offload.arrays import allocate_offload
from simulator.engine.modes.offload.room import room_bytes
from simulator.engine.modes.offload.spec import Offload, with_offload
from simulator.resolve.topology import plan_topologies
from simulator.run.budget import needs_of

OF_CHUNKS = ("chunks", "buckets", "offers", "offer_buckets", "jobs")


@pytest.mark.parametrize("chunks", [3, 512, 513, 20_000])
@pytest.mark.parametrize(("adaptive", "threshold", "tracked"), [(False, 0, 9_000), (True, 0, 0), (True, 2, 9_000)])
def test_the_estimate_is_no_less_than_the_arrays_and_no_more_than_a_sixth_beyond(
    chunks: int, adaptive: bool, threshold: int, tracked: int
) -> None:
    memory = Offload(chunks, adaptive=adaptive, store_threshold=threshold, tracked=tracked)
    config = EngineConfig(num_blocks=10)
    made = allocate_offload([replace(config, modes=with_offload(config.modes, memory))], [0], 4, 10)
    taken = sum(getattr(made, name).nbytes for name in OF_CHUNKS)
    assert taken <= room_bytes(memory) < 7 / 6 * taken


def test_chunks_of_all_replicas_are_in_the_estimate(tmp_path: Path) -> None:
    """40 GiB of 2 MiB are 20,480 chunks, of each of three replicas."""
    found = []
    for more in ("", ", kv_offloading_size: 40"):
        pools = "own: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: 3}]}"
        text = chat(pools, study="months: 1").replace("max_model_len: 8192", f"max_model_len: 8192{more}")
        loaded = written(tmp_path, text)
        found.append(needs_of(loaded, plan_topologies(loaded)).memory_bytes)
    assert found[1] - found[0] == 3 * room_bytes(Offload(20_480)) > 0
