"""More capacity serves no fewer requests within an SLO, but by chance: random traffic, engines and rules of routing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from fleet_cases import ENGINE, STEP_S, classes, fleet, poisson, pool
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from simulator.fleet.records import RECORD
from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.single import RequestList
from simulator.study.choices import ReplicaRouting
from simulator.study.fleet import Reliability

N = 600
SIGMAS = 4.0


def within(n: int, requests: Any, ttft_s: float, horizon_s: float, **changes: Any) -> NDArray[np.bool_]:
    """By request, whether n replicas began its answer in time and came to its end."""
    ended: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    simulate_fleet(
        fleet((pool(replicas=n, **changes),), classes=classes(1)),
        RequestList(requests),
        horizon_s=horizon_s,
        drain_s=horizon_s,
        warmup_s=0.0,
        seed=4,
        sink=ended.append,
    )
    records = np.sort(np.concatenate(ended), order="request")
    assert len(records) == N
    return np.asarray((records["first_token_s"] - records["arrival_s"] <= ttft_s) & (records["finish_s"] >= 0))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 5),
    load=st.floats(0.3, 2.0),
    routing=st.sampled_from(list(ReplicaRouting)),
    blocks=st.sampled_from([40, 80, 200]),
    seqs=st.sampled_from([1, 4, 8]),
    patience=st.sampled_from([2, 10, 100]),
    fails=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_one_more_replica_serves_no_fewer_in_time(
    n: int, load: float, routing: ReplicaRouting, blocks: int, seqs: int, patience: int, fails: bool, seed: int
) -> None:
    """Each request is lost to the larger fleet by chance alone: as many more as σ of pairs that differ, at most.

    A replica answers some seqs / 20 tokens of a step each, 20 steps a request; the load is a share of what n can do.
    """
    rate_rps = load * n * seqs / (20.0 * STEP_S)
    random = np.random.default_rng(seed)
    zeros = np.zeros(N, np.int32)
    requests = poisson(random, N, rate_rps, class_id=zeros, session_id=random.integers(0, 50, N))
    horizon_s = float(requests.arrival_s[-1]) + 1.0
    changes = {
        "routing": routing,
        "engine": replace(ENGINE, num_blocks=blocks, max_num_seqs=seqs, max_model_len=400),
        "reliability": Reliability(mtbf_s=horizon_s / 2, mttr_s=5.0) if fails else Reliability(),
    }
    few, more = (within(k, requests, patience * STEP_S, horizon_s, **changes) for k in (n, n + 1))
    gained, lost = int((more & ~few).sum()), int((few & ~more).sum())
    assert lost - gained <= SIGMAS * max(gained + lost, 1) ** 0.5
