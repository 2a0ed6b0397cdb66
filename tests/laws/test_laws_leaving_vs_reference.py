"""Clients that leave: kernels do what the reference does, wherever the request is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import random_config, random_requests, without_drafts
from parts import few
from test_laws_kernel_vs_reference import assert_same

from simulator.engine.config import Batching
from simulator.engine.modes.spec import Flight, GroupKind, KvGroup, Modes
from simulator.rng import stream
from simulator.workload.requests import Requests, make_extras

WINDOWS = pytest.param("windows", marks=[pytest.mark.rare_kernels, pytest.mark.exhaustive])
MACHINES = ("plain", "async", WINDOWS)


def leaving(rng: np.random.Generator, requests: Requests) -> Requests:
    n = len(requests)
    leaves_s = np.where(rng.random(n) < 0.4, rng.exponential(40.0, n) + 0.001, 0.0)
    return replace(requests, extras=make_extras(n, leaves_s=leaves_s))


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("seed", few(range(5), 0, 1))
def test_random_runs(seed: int, machine: str) -> None:
    rng = stream(seed, "kernel", "leaving")
    config, requests = random_config(rng), leaving(rng, random_requests(rng, 120, 4.0))
    if machine != "plain" or seed % 2:
        config = without_drafts(config)
    flight = Flight(2, True) if machine == "async" else None
    groups = () if machine != "windows" else tuple(KvGroup(GroupKind.WINDOW, config.block_size, 20) for _ in range(2))
    if machine != "plain":
        config = replace(config, batching=Batching.CONTINUOUS, drop_last_hit_block=False)
    run = assert_same(replace(config, modes=Modes(groups=groups, flight=flight)), requests)
    ended = [record.status for record in run.records]
    assert ended.count("left") > 5
    assert ended.count("completed") > 5
    assert any(record.status == "left" and record.generated > 0 for record in run.records)
