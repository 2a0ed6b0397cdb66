"""Prefill and decode pools in a scenario: what may be connected, over which link, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.catalog.gpus import gpu
from simulator.catalog.kv_transfer import kv_transfer_figures
from simulator.errors import InputError
from simulator.resolve.topology import plan_topology
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = Path(__file__).resolve().parents[2] / "scenarios/onprem/disaggregation.yaml"
POOLS = "topologies.disaggregated.pools"
QUICK = ("run={horizon_s: 60, replications: 1, seed: 1}",)


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        (f"{POOLS}[prompts].role=both", f"{POOLS}[0].hands_to: only a pool with role prefill hands over"),
        (f"{POOLS}[prompts].hands_to=answer", "did you mean 'answers'?"),
        (f"{POOLS}[prompts].hands_to=prompts", f"{POOLS}[0].hands_to: unknown pool that answers 'prompts'"),
        (f"{POOLS}[answers].model=llama-3.1-8b-instruct", f"{POOLS}[0].model: must be the model of pool answers"),
        (
            f"{POOLS}[answers].engine={{kv_cache_dtype: bfloat16}}",
            f"{POOLS}[0].engine.kv_cache_dtype: must be that of pool answers",
        ),
        (f"{POOLS}[prompts].engine={{block_size: 32}}", f"{POOLS}[0].engine.block_size: must divide"),
        (
            f"{POOLS}[answers].tensor_parallel_size=3",
            f"{POOLS}[0].tensor_parallel_size: must divide that of pool answers (3)",
        ),
        (f"{POOLS}[answers].pipeline_parallel_size=2", "pool answers has pipeline stages"),
        (
            "topologies.disaggregated.routing={kind: weighted, weights: {answers: 1}}",
            "weights.answers: pool answers only",
        ),
        ("topologies.disaggregated.routing={kind: overflow, order: [prompts, answers]}", "order[1]: pool answers only"),
    ],
)
def test_a_pair_that_cannot_work_is_refused_at_its_place(assignment: str, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(SCENARIO, (), [assignment])
    assert any(problem in str(found) for found in caught.value.problems), caught.value


def test_a_prefill_pool_needs_a_decode_pool_and_the_other_way_round() -> None:
    with pytest.raises(InputError, match="a prefill pool needs a pool with role decode"):
        load_scenario(SCENARIO, (), [f"{POOLS}[prompts].hands_to=null", f"{POOLS}[answers].role=both"])
    with pytest.raises(InputError, match="no pool with role prefill hands to answers"):
        load_scenario(SCENARIO, (), [f"{POOLS}[prompts].role=both", f"{POOLS}[prompts].hands_to=null"])


def test_the_decode_pool_is_found_when_there_is_one_and_asked_for_when_there_are_two() -> None:
    loaded = load_scenario(SCENARIO, (), [f"{POOLS}[prompts].hands_to=null"])
    assert plan_topology(loaded, "disaggregated").fleet.pools[0].hands_to == 1
    roles = {"prompts": "prefill", "answers": "decode", "more": "decode"}
    pools = [
        f"{{name: {name}, site: datacentre, gpu: h100-sxm, tensor_parallel_size: 4, role: {role}}}"
        for name, role in roles.items()
    ]
    with pytest.raises(InputError, match="say with hands_to which pool answers: answers, more"):
        load_scenario(SCENARIO, (), [f"{POOLS}=[{', '.join(pools)}]"])


def test_copies_of_kv_heads_cannot_be_read_by_fewer_gpus() -> None:
    wide = [f"{POOLS}[prompts].tensor_parallel_size=16", f"{POOLS}[answers].tensor_parallel_size=8"]
    with pytest.raises(InputError, match="copies of the 8 KV heads"):
        plan_topology(load_scenario(SCENARIO, (), wide), "disaggregated")


def test_a_transfer_takes_what_the_links_of_all_gpus_carry() -> None:
    """Llama 3.1 70B: 80 layers, 8 KV heads of 128, keys and values of 1 byte, 16 tokens a block."""
    h100 = gpu("h100-sxm")
    planned = plan_topology(load_scenario(SCENARIO), "disaggregated").fleet
    for pool in planned.pools:
        link = pool.kv_transfer
        assert link.block_bytes == 80 * 8 * 128 * 2 * 16
        assert link.bytes_per_s == pytest.approx(4 * h100.inter_node.value * h100.coefficients.link_efficiency)
        assert (link.latency_s, link.lease_s) == (kv_transfer_figures().latency.value, 30.0)
    assert planned.routing.order == (0,)
    own = plan_topology(load_scenario(SCENARIO), "disaggregated_ethernet").fleet.pools[1].kv_transfer
    assert own.bytes_per_s == 4 * 1.5e9


def test_the_shipped_comparison_runs_and_shows_the_transfers(tmp_path: Path) -> None:
    """At equal GPUs answers flow more evenly, first tokens come later; the slower link adds its time to every one."""
    import pandas as pd

    run = simulate(load_scenario(SCENARIO, (), QUICK), tmp_path)
    rows = pd.read_parquet(run.bundle / "requests.parquet")
    rows = rows[rows["status"] == "completed"]
    by_name = {name: group.set_index("request") for name, group in rows.groupby("topology")}
    assert set(by_name["aggregated"]["prefill_target"]) == {""}
    for name in ("disaggregated", "disaggregated_ethernet"):
        moved = by_name[name]
        assert set(moved["prefill_target"]) == {"prompts"}
        assert set(moved["target"]) == {"answers"}
        transfer_s = moved["transferred_s"] - moved["prefilled_s"]
        link = plan_topology(load_scenario(SCENARIO), name).fleet.pools[1].kv_transfer
        blocks = -(-moved["isl"] // 16)
        assert (transfer_s >= blocks * link.block_bytes / link.bytes_per_s + link.latency_s - 1e-9).all()
        assert (moved["first_token_s"] > moved["transferred_s"]).all()
    tpot = {name: run.summary["topologies"][name]["metrics"]["tpot_s"]["p95"] for name in by_name}
    assert tpot["disaggregated"] < tpot["aggregated"]
    assert by_name["disaggregated_ethernet"]["finish_s"].mean() > by_name["disaggregated"]["finish_s"].mean()
