"""The number of processes changes no byte of a bundle, and no error."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.errors import InputError
from simulator.run import ahead
from simulator.run.simulate import simulate
from simulator.simulate.store import Store

TOPOLOGIES = (
    "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}]}",
    "same: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}]}",
    "elastic: {pools: [{name: rented, site: lambda, gpu: h100-sxm, autoscaler: auto}]}",
    "fixed: {pools: [{name: rented, site: lambda, gpu: h100-sxm, replicas: 2}]}",
)
GROWS = "months: 3, growth_per_year: 6.0"


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "WORTH_FORKING", 0)
    monkeypatch.setattr(ahead, "WORTH_SPAWNING", 0)


@pytest.mark.parametrize(("keep", "jobs"), [("true", 2), ("false", 4)])
def test_the_number_of_processes_changes_no_byte(
    tmp_path: Path, keep: str, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = chat(*TOPOLOGIES, study=GROWS, rate_rps=20, horizon_s=10, warmup_s=2, replications=2)
    loaded = written(tmp_path, text, f"run.keep_requests={keep}")
    alone = simulate(loaded, tmp_path / "1", advise=True)
    here: list[int] = []
    one = import_module("simulator.simulate.one")
    real = one.simulate_fleet

    def counted(*rest: Any, **more: Any) -> Any:
        here.append(os.getpid())
        return real(*rest, **more)

    monkeypatch.setattr(one, "simulate_fleet", counted)
    store = Store() if jobs == 2 else Store(tmp_path / "trials")
    found = simulate(loaded, tmp_path / str(jobs), store=store, advise=True, jobs=jobs)
    for file in sorted(file.name for file in alone.bundle.iterdir() if file.name != "timing.json"):
        assert (alone.bundle / file).read_bytes() == (found.bundle / file).read_bytes(), file
    assert not here


def test_all_problems_are_told_as_by_one_process(tmp_path: Path) -> None:
    odd = "replicas: auto, tensor_parallel_size: 3"
    pools = [f"{name}: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, {odd}}}]}}" for name in ("first", "second")]
    loaded = written(tmp_path, chat(TOPOLOGIES[0], *pools, study=GROWS, horizon_s=20))
    told = []
    for jobs in (1, 2):
        with pytest.raises(InputError) as caught:
            simulate(loaded, tmp_path / "out", jobs=jobs)
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "first" in told[0]
    assert "second" in told[0]
