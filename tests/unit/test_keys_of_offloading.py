"""Keys for KV blocks in the memory of the CPU: chunks from GiB, the link to them, what is refused, what it is worth."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_keys_of_caches import APART, CACHING, ONE, SHARED, STORE, loaded, served

from simulator.catalog.gpus import gpus
from simulator.catalog.host_links import host_links
from simulator.engine.modes.offload.spec import Offload, offload_of
from simulator.errors import InputError
from simulator.fleet.records import Status
from simulator.resolve.topology import PlannedTopology, plan_topology
from simulator.run.trust import sources
from simulator.study.caches import CacheResets

SIZE = "engine.kv_offloading_size=40"
TWO = ONE.replace("gpu: h100-sxm", "gpu: h100-sxm, tensor_parallel_size: 2")


def planned(tmp_path: Path, topology: str, *sets: str) -> PlannedTopology:
    return plan_topology(loaded(tmp_path, topology, *sets), "a")


def memory_of(found: PlannedTopology) -> Offload | None:
    return offload_of(found.fleet.pools[0].engine.modes)


def test_every_gpu_has_a_link_but_the_one_that_shares_its_processor_s_memory() -> None:
    links = host_links()
    assert gpus().keys() - links.gpus.keys() == {"gb10"}
    assert not links.gpus.keys() - gpus().keys()
    of_pcie = {name for name, link in links.gpus.items() if link.source.startswith("intra_node")}
    assert len(of_pcie) > 10
    assert all(links.gpus[name].value == gpus()[name].intra_node.value for name in of_pcie)
    assert 0 < links.share.value < 1


@pytest.mark.parametrize(("topology", "gpus_of_replica"), [(ONE, 1), (TWO, 2)])
def test_chunks_are_those_that_fit_over_all_gpus(tmp_path: Path, topology: str, gpus_of_replica: int) -> None:
    """Llama 3.1 8B in 16 bit: 131,072 bytes a token, so that 16 tokens are 2 MiB and 40 GiB hold 20,480 chunks."""
    found = planned(tmp_path, topology, SIZE)
    assert found.engines[0].memory.block_bytes * gpus_of_replica == 2**21
    assert memory_of(found) == Offload(20_480)
    assert found.fleet.pools[0].engine.modes.connector
    link = found.fleet.pools[0].kv_transfer
    assert link.block_bytes / link.bytes_per_s == pytest.approx(2**21 / gpus_of_replica / (0.775 * 6.4e10))
    assert (link.latency_s, link.lease_s) == (0.0, 0.0)
    told = [line for line in sources(found.engines) if "memory of the CPU" in line]
    assert told == [
        "KV cache: 20,480 chunks of 1 x 16 tokens in the memory of the CPU, copied at 49.6 GB/s each way by each GPU"
    ]


def test_what_chunks_are_and_how_they_make_room_reaches_the_engine(tmp_path: Path) -> None:
    said = "{blocks_per_chunk: 3, eviction_policy: arc, store_threshold: 2, max_tracker_size: 9, offload_prompt_only: "
    found = planned(tmp_path, ONE, SIZE, f"engine.kv_connector_extra_config={said}false}}")
    assert memory_of(found) == Offload(6_826, 3, True, 2, 9, False)


def test_limits_of_classes_reach_the_engine_and_are_told_where_they_limit_nothing(tmp_path: Path) -> None:
    limits = "workload.classes[0].kv_transfer_params={max_load_tokens: 640}"
    assert memory_of(planned(tmp_path, ONE, SIZE, limits)) == Offload(20_480, most_by_class=((640, -1),))
    told = "kv_transfer_params: without engine.kv_offloading_size there is no memory of the CPU to limit"
    assert told in planned(tmp_path, ONE, limits).engines[0].notes


def test_resets_of_the_memory_reach_the_fleet(tmp_path: Path) -> None:
    both = "engine.prefix_cache_resets={every_s: 7, reset_connector: true}"
    (pool,) = planned(tmp_path, ONE, SIZE, CACHING, both).fleet.pools
    assert pool.cache_resets == CacheResets(7.0, elsewhere=True)
    with pytest.raises(InputError, match=r"reset_connector: there is no memory of the CPU to forget"):
        planned(tmp_path, ONE, CACHING, both)


def test_tokens_of_a_chunk_are_as_many_blocks(tmp_path: Path) -> None:
    by_tokens = planned(tmp_path, ONE, SIZE, "engine.kv_connector_extra_config={block_size: 48}")
    assert memory_of(by_tokens) == Offload(6_826, 3)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{block_size: 40}", "must be a multiple of the GPU's block of 16 tokens: use 48, or 'blocks_per_chunk'"),
        ("{block_size: 32, blocks_per_chunk: 2}", "vLLM takes one of 'block_size' and 'blocks_per_chunk'"),
    ],
)
def test_chunks_that_vllm_refuses_are_refused_at_their_key(tmp_path: Path, said: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, ONE, SIZE, f"engine.kv_connector_extra_config={said}")
    assert f"engine.kv_connector_extra_config.block_size: {told}" in str(caught.value)


def test_layers_with_blocks_of_two_lengths_say_their_blocks(tmp_path: Path) -> None:
    sets = (SIZE, "model=gemma-4-31b", "engine.kv_connector_extra_config={block_size: 32}")
    with pytest.raises(InputError, match="layers have blocks of 16, 32 tokens: say 'blocks_per_chunk'"):
        planned(tmp_path, TWO, *sets)


@pytest.mark.parametrize(
    ("links", "gb_per_s"),
    [("host_gb_per_s: 12", 12.0), ("pcie_generation: 4, pcie_lanes: 8", 16 * 0.775), ("peer_access: true", 49.6)],
)
def test_the_link_is_the_pool_s_own(tmp_path: Path, links: str, gb_per_s: float) -> None:
    topology = ONE.replace("gpu: h100-sxm", f"gpu: h100-sxm, hardware: {{links: {{{links}}}}}")
    link = planned(tmp_path, topology, SIZE).fleet.pools[0].kv_transfer
    assert link.bytes_per_s == pytest.approx(gb_per_s * 1e9)


def test_latent_attention_keeps_one_copy(tmp_path: Path) -> None:
    eight = ONE.replace("gpu: h100-sxm", "gpu: h200, tensor_parallel_size: 8")
    found = planned(tmp_path, eight, SIZE, "model=deepseek-v3", "engine.quantization=fp8")
    memory, block_bytes = memory_of(found), found.engines[0].memory.block_bytes
    assert memory is not None
    assert memory.chunks == 40 * 2**30 // (-(-int(block_bytes) // 4096) * 4096)


def test_an_engine_without_it_has_no_such_memory(tmp_path: Path) -> None:
    found = planned(tmp_path, ONE)
    assert memory_of(found) is None
    assert not found.fleet.pools[0].engine.modes.connector


@pytest.mark.parametrize(
    ("topology", "sets", "told"),
    [
        (ONE, (SIZE, "engine.batching=static"), "engine.kv_offloading_size: is not simulated with batching static"),
        (APART, (SIZE,), "engine.kv_offloading_size: is not simulated in a pool that has one role alone"),
        (
            ONE,
            (SIZE, STORE, CACHING),
            "engine.kv_offloading_size: an engine has one connector: this, or 'kv_connector'",
        ),
        (ONE, ("engine.kv_offloading_size=0.001",), "engine.kv_offloading_size: holds no chunk, which is 0.00195 GiB"),
        (
            ONE,
            ("engine.kv_offloading_size=1e15",),
            "engine.kv_offloading_size: must be at most 131,072: 67,108,864 chunks are simulated",
        ),
        (
            ONE,
            ("engine.kv_connector_extra_config={eviction_policy: arc}",),
            "engine.kv_connector_extra_config: is of 'kv_offloading_size', which is not given",
        ),
        (
            ONE.replace("h100-sxm", "gb10"),
            (SIZE, "model=llama-3.1-8b"),
            "engine.kv_offloading_size: gb10 shares the memory of its processor: there is no other",
        ),
    ],
)
def test_what_is_not_simulated_is_refused_at_its_key(
    tmp_path: Path, topology: str, sets: tuple[str, ...], told: str
) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, topology, *sets)
    assert told in str(caught.value)


@pytest.mark.exhaustive
def test_what_the_gpu_gave_up_is_found_again(tmp_path: Path) -> None:
    """40 beginnings of 320 tokens share a GPU of 600 blocks: all but the first request of each find theirs."""
    many = SHARED.replace("groups: 1", "groups: 40")
    sets = (CACHING, many, "engine.num_gpu_blocks_override=600")
    plain, beside = (served(loaded(tmp_path, ONE, *sets, *more)) for more in ((), (SIZE,)))
    assert (beside["status"] == Status.COMPLETED).all()
    assert (beside["cached_tokens"] >= 320).sum() >= len(beside) - 40 - 3
    assert plain["cached_tokens"].sum() < 0.7 * beside["cached_tokens"].sum()
