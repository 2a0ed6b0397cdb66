"""What misses the SLO however little comes has no capacity of which a share could be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.report.decision import capacity_notes, used_words
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

SCENARIO = """
schema_version: 1
name: alone
model: llama-3.1-8b-instruct
engine:
  max_model_len: 1024
  enable_prefix_caching: {cached}
  throughput: {{output_tokens_per_s: 1000, input_tokens_per_s: 1000, tpot_s: 0.02}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: poisson, rate_rps: {rate_rps}}}
      lengths: {{isl: {isl}, osl: 101}}
      prefixes: {{groups: 1, tokens: 384}}
      slo: {{{slo}}}
topologies: {{t: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, network_s: 0}}]}}}}
cost: {{draws: 0}}
run: {{horizon_s: 130, warmup_s: 10, seed: 2}}
"""


def capacity(tmp_path: Path, slo: str, rate_rps: float = 1, cached: str = "false", isl: str = "401") -> dict[str, Any]:
    path = tmp_path / "alone.yaml"
    path.write_text(SCENARIO.format(slo=slo, rate_rps=rate_rps, cached=cached, isl=isl))
    data = simulate(load_scenario(path), None, advise=True).decision
    assert data is not None
    found = data["topologies"]["t"]["capacity"]
    assert isinstance(found, dict)
    return found


def test_answers_that_take_too_long_alone_are_missed_at_any_load(tmp_path: Path) -> None:
    """101 tokens 0.02 s apart, the first with the end of a prompt of 0.4 s, for who has the engine to itself."""
    found = capacity(tmp_path, "e2e_s: {p99: 2.38}")
    assert found["at_any_load"] == "chat: e2e p99 of an empty engine is 2.4 s, the limit 2.38 s"
    assert (found["factor"], found["used_share_low"], found["tried"]) == (0.0, None, [[1.0, False]])
    assert used_words(found) == "missed at any load"
    said = f"t misses the SLO however little comes: {found['at_any_load']}."
    assert capacity_notes({"topologies": {"t": {"capacity": found}}}, ["t"]) == [said]


def test_prompts_that_no_target_takes_are_missed_at_any_load(tmp_path: Path) -> None:
    found = capacity(tmp_path, "e2e_s: {p99: 5}", isl="{kind: uniform, low: 400, high: 1100}")
    assert "too long" in found["at_any_load"]


@pytest.mark.parametrize(
    ("slo", "rate_rps", "cached"),
    [("e2e_s: {p99: 3.5}", 20.0, "false"), ("ttft_s: {p99: 0.3}", 12.0, "true")],
    ids=["a queue", "prompts of which a cache has most"],
)
def test_what_a_lighter_load_could_mend_is_tried(tmp_path: Path, slo: str, rate_rps: float, cached: str) -> None:
    """20 requests/s are 2,020 output tokens/s, twice what is served; a prompt alone takes 0.4 s, with a cache less."""
    found = capacity(tmp_path, slo, rate_rps, cached)
    assert found["tried"][0] == [1.0, False]
    assert not found["at_any_load"]
    assert len(found["tried"]) > 1
