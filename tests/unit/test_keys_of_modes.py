"""Keys that ask for a mode: each reaches what it names, and is refused in words where that is not simulated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.engine.config import EngineConfig
from simulator.errors import InputError
from simulator.resolve.demand import workload_spec
from simulator.resolve.topology import plan_topology
from simulator.scenario.load import load_scenario
from simulator.simulate.demand import demand_of
from tests.scenario_cases import chat

CLASS = "workload.classes[0]"
ONE = "a: {pools: [{name: p, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}]}"
TWO = "a: {pools: [{name: p, site: datacentre, gpu: h100-sxm, replicas: 2, billing: owned}]}"
API = "a: {providers: [{name: together, offer: together/llama-3.3-70b}]}"


def engine(tmp_path: Path, *sets: str) -> EngineConfig:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(ONE, study="months: 1"))
    return plan_topology(load_scenario(file, sets=sets), "a").fleet.pools[0].engine


def refused(tmp_path: Path, topology: str, *sets: str) -> str:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(topology, study="months: 1"))
    with pytest.raises(InputError) as caught:
        plan_topology(load_scenario(file, sets=sets), "a")
    (problem,) = caught.value.problems
    assert problem.file is not None
    assert problem.line is not None or problem.file.startswith("--set")
    return str(problem)


def test_limits_below_those_that_memory_is_kept_for(tmp_path: Path) -> None:
    plain, fewer = (engine(tmp_path, *sets) for sets in ((), ("engine.max_num_active_seqs=40",)))
    assert (plain.max_num_seqs, fewer.max_num_seqs) == (1024, 40)
    assert fewer.num_blocks == plain.num_blocks
    shorter = engine(tmp_path, "engine.max_num_scheduled_tokens=512")
    assert (shorter.max_num_batched_tokens, shorter.modes.max_num_scheduled_tokens) == (512, 512)
    assert replace(shorter, max_num_batched_tokens=8192, modes=plain.modes) == plain
    assert engine(tmp_path, "engine.max_num_scheduled_tokens=99999") == plain


@pytest.mark.parametrize(
    ("topology", "sets", "told"),
    [
        (ONE, ("engine.max_num_active_seqs=2000",), r"(2000) cannot be greater than max_num_seqs (1024) (got 2000)"),
        (
            ONE,
            (
                "engine.max_num_scheduled_tokens=512",
                "engine.speculative_config={method: draft_model, model: llama-3.2-1b, num_speculative_tokens: 2,"
                " acceptance: 0.7}",
            ),
            "engine.max_num_scheduled_tokens: fewer tokens in a plan than in a step are not simulated with a draft",
        ),
        (TWO, (f"{CLASS}.n=2",), f"{CLASS}.n: topology a: the answers of a request come from one replica, but routing"),
        (API, (f"{CLASS}.n=2",), "a token API reads a prompt once for all of them"),
        (ONE, (f"{CLASS}.n=2", "engine.scheduling_policy=priority"), "order of equal priorities among them"),
        (
            ONE,
            (f"{CLASS}.n=2", f"{CLASS}.arrivals={{kind: closed_loop, concurrency: 3}}"),
            f"{CLASS}.n: closed_loop arrivals wait for one answer",
        ),
    ],
)
def test_what_is_not_simulated_or_cannot_be_is_refused_at_its_key(
    tmp_path: Path, topology: str, sets: tuple[str, ...], told: str
) -> None:
    assert told in refused(tmp_path, topology, *sets)


def test_keys_of_a_class_reach_its_requests(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(chat(TWO, study="months: 1", rate_rps=3, horizon_s=20))
    sets = [f"{CLASS}.n=2", f"{CLASS}.cache_salts=5", "topologies.a.pools[p].routing=session_sticky"]
    loaded = load_scenario(file, sets=sets)
    plan_topology(loaded, "a")
    (cls,) = workload_spec(loaded.scenario, tmp_path).classes
    assert (cls.n, cls.cache_salts) == (2, 5)
    requests = next(iter(demand_of(loaded).source(0).chunks()))
    assert np.array_equal(requests.arrival_s[::2], requests.arrival_s[1::2])
    assert np.array_equal(requests.session_id[::2], requests.session_id[1::2])
    one = next(iter(demand_of(load_scenario(file)).source(0).chunks()))
    assert len(requests) == 2 * len(one)
