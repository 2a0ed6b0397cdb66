"""Keys for what befalls prefix caches from outside: resets, and a store of KV caches beside the replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.fleet.records import RECORD, Status
from simulator.fleet.simulate import simulate_fleet
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.demand import demand_of
from simulator.study.caches import CacheResets
from simulator.study.fleet import KvTransfer
from simulator.workload.requests import make_requests
from simulator.workload.stored import Beginnings
from tests.scenario_cases import chat

ONE = "a: {pools: [{name: p, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}]}"
APART = (
    "a: {pools: [{name: p, role: prefill, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned},"
    " {name: d, role: decode, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}]}"
)
CACHING = "engine.enable_prefix_caching=true"
SHARED = "workload.classes[0].prefixes={groups: 1, tokens: 320}"
EVERY = "engine.prefix_cache_resets={every_s: 7}"
RUNNING = "engine.prefix_cache_resets={every_s: 7, reset_running_requests: true}"
STORE = "engine.kv_connector={gb_per_s_per_gpu: 2, latency_s: 0.001}"
DRAFTS = "engine.speculative_config={method: eagle, num_speculative_tokens: 3, acceptance: 0.7}"
FEW = "engine.num_gpu_blocks_override=600"


def loaded(tmp_path: Path, topology: str, *sets: str, rate_rps: float = 4, horizon_s: float = 60) -> LoadedScenario:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(topology, study="months: 1", rate_rps=rate_rps, horizon_s=horizon_s, warmup_s=0))
    return load_scenario(file, sets=sets)


def served(scenario: LoadedScenario) -> NDArray[Any]:
    records: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    simulate_fleet(
        plan_topology(scenario, "a").fleet,
        demand_of(scenario).source(0),
        horizon_s=60.0,
        drain_s=60.0,
        warmup_s=0.0,
        seed=1,
        sink=records.append,
    )
    return np.sort(np.concatenate(records), order="request")


def test_resets_reach_the_fleet(tmp_path: Path) -> None:
    fleet = plan_topology(loaded(tmp_path, ONE, CACHING, RUNNING), "a").fleet
    assert [pool.cache_resets for pool in fleet.pools] == [CacheResets(7.0, True)]
    assert [pool.cache_resets for pool in plan_topology(loaded(tmp_path, ONE, CACHING), "a").fleet.pools] == [None]


@pytest.mark.exhaustive
def test_a_reset_costs_the_hits_of_the_next_request_and_those_who_run_their_tokens(tmp_path: Path) -> None:
    """Resets after 7, 14, ... s are refused while somebody is served, which somebody always is at this load."""
    plain, refused, running = (
        served(loaded(tmp_path, ONE, CACHING, SHARED, *sets)) for sets in ((), (EVERY,), (RUNNING,))
    )
    assert (plain["cached_tokens"][1:] == 320).all()
    assert refused["cached_tokens"].tolist() == plain["cached_tokens"].tolist()
    assert refused["preemptions"].sum() == plain["preemptions"].sum() == 0
    resets = np.arange(7.0, 60.0, 7.0)
    during = (running["arrival_s"][:, None] < resets) & (running["finish_s"][:, None] > resets)
    assert (running["preemptions"] <= during.sum(axis=1)).all()
    assert running["preemptions"].sum() >= during.sum() - len(resets)
    assert running["finish_s"].sum() > plain["finish_s"].sum()


@pytest.mark.exhaustive
def test_a_calm_replica_forgets(tmp_path: Path) -> None:
    sparse = loaded(tmp_path, ONE, CACHING, SHARED, EVERY, "workload.classes[0].lengths.osl=2", rate_rps=0.5)
    records = served(sparse)
    before = np.floor(records["arrival_s"] / 7.0)
    first = np.diff(before, prepend=-1.0) > 0
    assert records["cached_tokens"][first].tolist() == [0] * first.sum()
    assert (records["cached_tokens"][~first] == 320).all()


def test_a_store_reaches_the_engine_its_link_and_the_requests(tmp_path: Path) -> None:
    scenario = loaded(tmp_path, ONE, CACHING, SHARED, STORE)
    planned = plan_topology(scenario, "a")
    (pool,) = planned.fleet.pools
    assert pool.engine.modes.stores
    assert pool.engine.modes.connector
    assert pool.kv_transfer == KvTransfer(planned.engines[0].memory.block_bytes, 2e9, 0.001)
    extras = next(iter(demand_of(scenario).source(0).chunks())).extras
    assert extras is not None
    assert extras.stored_tokens.tolist() == [0] + [320] * (len(extras.stored_tokens) - 1)
    assert extras.stored_apart.all()


@pytest.mark.exhaustive
def test_what_the_cache_lost_comes_from_the_store(tmp_path: Path) -> None:
    """After a reset the first request loads its 20 blocks: no tokens computed, and time for their bytes."""
    sets = (CACHING, SHARED, EVERY, "workload.classes[0].lengths.osl=2")
    without, store = (served(loaded(tmp_path, ONE, *sets, *more, rate_rps=0.5)) for more in ((), (STORE,)))
    planned = plan_topology(loaded(tmp_path, ONE, *sets, STORE), "a")
    load_s = 20 * planned.engines[0].memory.block_bytes / 2e9 + 0.001
    lost = without["cached_tokens"] == 0
    lost[0] = False
    assert lost.sum() > 3
    waited = store["first_token_s"] - store["arrival_s"]
    usual = np.median(waited[~lost][1:])
    assert np.allclose(waited[lost] - load_s, usual, atol=0.004)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("asked", "rate_rps"),
    [
        ((DRAFTS, "engine.max_num_seqs=16"), 12),
        ((DRAFTS, "engine.max_num_seqs=64"), 40),
        (("workload.classes[0].n=2", "engine.max_num_seqs=64"), 12),
    ],
)
def test_a_busy_replica_with_a_store_has_a_row_for_each_whom_a_reset_puts_back(
    tmp_path: Path, asked: tuple[str, ...], rate_rps: float
) -> None:
    """Those whose blocks are still in use wait beside all others, and each has a row of the block table."""
    records = served(loaded(tmp_path, ONE, CACHING, SHARED, STORE, RUNNING, *asked, rate_rps=rate_rps))
    completed = records[records["status"] == Status.COMPLETED]
    assert len(completed) > 300
    assert completed["preemptions"].sum() > 0
    assert (completed["generated"] == completed["osl"]).all()


@pytest.mark.parametrize(
    ("topology", "sets", "told"),
    [
        (ONE, (EVERY,), "engine.prefix_cache_resets: is not simulated without enable_prefix_caching"),
        (ONE, (STORE,), "engine.kv_connector: is not simulated without enable_prefix_caching"),
        (ONE, (CACHING, STORE, "engine.batching=static"), "engine.kv_connector: is not simulated with batching static"),
        (APART, (CACHING, EVERY), "engine.prefix_cache_resets: is not simulated in a pool that has one role alone"),
        (ONE, (CACHING, STORE, "model=gpt-oss-20b"), "engine.kv_connector: is not simulated beside layers that keep"),
    ],
)
def test_what_is_not_simulated_is_refused_at_its_key(
    tmp_path: Path, topology: str, sets: tuple[str, ...], told: str
) -> None:
    with pytest.raises(InputError) as caught:
        plan_topology(loaded(tmp_path, topology, *sets), "a")
    assert told in str(caught.value)


def test_a_store_has_what_came_before() -> None:
    """Pieces 1 and 2, then: the same; 1 of another length, after which nothing is the same; more of 2; an answer."""
    pieces = [[(1, 64), (2, 32)], [(1, 64), (2, 32)], [(1, 48), (2, 32)], [(1, 64), (2, 80)], [(3, 20)], [(3, 90)]]
    n = len(pieces)
    flat = [piece for row in pieces for piece in row]
    block = make_requests(
        np.zeros(n),
        np.full(n, 200),
        np.full(n, 30),
        segment_start=np.cumsum([0, *map(len, pieces)]),
        segment_id=np.array([name for name, _ in flat]),
        segment_tokens=np.array([tokens for _, tokens in flat]),
        output_continues=np.array([False] * 4 + [True, False]),
    )
    store = Beginnings()
    assert store.found(block).tolist() == [0, 96, 48, 96, 0, 50]
    assert store.found(block).tolist() == [96, 96, 80, 144, 20, 90]


def test_a_store_has_at_least_what_was_used_last() -> None:
    """Prompts of one piece each, two pieces to a generation: those of this one and the one before it are known."""

    def asked(*names: int) -> list[int]:
        n = len(names)
        segments = {"segment_start": np.arange(n + 1), "segment_tokens": np.full(n, 50)}
        block = make_requests(np.zeros(n), np.full(n, 50), np.full(n, 3), segment_id=np.array(names), **segments)
        return store.found(block).tolist()

    store = Beginnings(pieces=2)
    assert asked(1, 2) == [0, 0]
    assert asked(3, 1) == [0, 50]
    assert asked(2, 3) == [0, 50]
    assert asked(3, 1, 3, 2) == [50, 0, 50, 0]
