"""Scenarios of one chat class on Llama 3.1 8B, written and loaded; and edges of what a scenario may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import InputError
from simulator.resolve.sizes import alone, open_pools
from simulator.run.loads import loads_of
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.store import Store
from simulator.size.trials import Trials

SMALL = Path(__file__).resolve().parent / "data/scenarios/small.yaml"

Edge = tuple[list[str], list[str], str]
"""Assignments that are refused, their neighbours that are taken, and what is said of the first."""

CHAT = """
schema_version: 1
name: chat
model: llama-3.1-8b-instruct
engine: {{max_model_len: 8192, enable_prefix_caching: false}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: poisson, rate_rps: {rate_rps}}}
      lengths: {{isl: 500, osl: {osl}}}
      slo: {{ttft_s: {{p99: 1.0}}, tpot_s: {{p95: {tpot_s}}}}}
topologies: {{{topologies}}}
study: {{{study}}}
cost: {{draws: {draws}}}
run: {{horizon_s: {horizon_s}, warmup_s: {warmup_s}, replications: {replications}, seed: 5, keep_requests: false}}
"""


def chat(
    *topologies: str,
    study: str,
    rate_rps: float = 15,
    osl: int = 200,
    tpot_s: float = 0.03,
    draws: int = 0,
    horizon_s: float = 60,
    warmup_s: float = 10,
    replications: int = 1,
) -> str:
    """Text of a scenario; a topology is `name: {pools: [...], ...}`."""
    return CHAT.format(
        topologies=", ".join(topologies),
        study=study,
        rate_rps=rate_rps,
        osl=osl,
        tpot_s=tpot_s,
        draws=draws,
        horizon_s=horizon_s,
        warmup_s=warmup_s,
        replications=replications,
    )


def written(folder: Path, text: str, *sets: str) -> LoadedScenario:
    """The scenario of a file with this text."""
    file = folder / "scenario.yaml"
    file.write_text(text)
    return load_scenario(file, sets=sets)


def trials_of(loaded: LoadedScenario, topology: str) -> Trials:
    """Trials of sizes of a topology in the first month, of which nothing is known beforehand."""
    return Trials(
        alone(loaded, topology), topology, open_pools(loaded, topology), loads_of(loaded).first_month, Store()
    )


def check_edge(file: Path, edge: Edge) -> None:
    """What is refused is told at its place, and its neighbour is taken."""
    refused, taken, said = edge
    with pytest.raises(InputError) as caught:
        load_scenario(file, sets=refused)
    assert any(said in str(problem) for problem in caught.value.problems), str(caught.value)
    load_scenario(file, sets=taken)
