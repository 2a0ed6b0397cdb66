"""Bill, tokens and months cover the window alone: how long a steady load was warmed up changes none of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from priced_cases import priced

from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import Outcome, simulate_one, subject_of
from simulator.simulate.priced import Priced

SCENARIO = """
schema_version: 1
name: warm
model: llama-3.1-8b
engine: {{max_model_len: 4096}}
workload:
  classes:
    - name: chat
      arrivals: {{kind: gamma, rate_rps: 6, cv: 0.01}}
      lengths: {{isl: 800, osl: 600}}
      data_class: public
topologies:
  own: {{pools: [{{name: own, site: datacentre, gpu: h100-sxm, replicas: 1, billing: owned}}]}}
  api: {{providers: [{{name: mini, offer: openai/gpt-4o-mini}}]}}
run: {{horizon_s: {horizon_s}, warmup_s: {warmup_s}, seed: 3}}
"""


def run(folder: Path, warmup_s: float, window_s: float) -> dict[str, tuple[Outcome, Priced]]:
    file = folder / "warm.yaml"
    file.write_text(SCENARIO.format(horizon_s=warmup_s + window_s, warmup_s=warmup_s))
    loaded = load_scenario(file)
    found = {}
    for planned in plan_topologies(loaded):
        outcome = simulate_one(subject_of(planned), demand_of(loaded), 0)
        found[planned.name] = outcome, priced([outcome], resolve_terms(planned).terms)
    return found


def test_a_longer_warm_up_changes_a_steady_month_within_its_noise_alone(tmp_path: Path) -> None:
    """An empty fleet gives no answers at first: with the warm-up in the bill the first month would lack a tenth."""
    short, long = (run(tmp_path, warmup_s, 60.0) for warmup_s in (15.0, 180.0))
    for name in ("own", "api"):
        before, after = short[name][1], long[name][1]
        assert after.usd_per_month == pytest.approx(before.usd_per_month, rel=0.02)
        assert after.tokens.output == pytest.approx(before.tokens.output, rel=0.02)


def test_tokens_that_are_billed_are_those_of_the_rates(tmp_path: Path) -> None:
    for outcome, found in run(tmp_path, 90.0, 120.0).values():
        usage = outcome.usage
        assert (usage.start_s, usage.end_s) == (90.0, 210.0)
        (target,) = (*usage.pools, *usage.providers)
        per_month = 730 * 3600 / 120.0
        assert found.tokens.output == pytest.approx(target.output_tokens * per_month)
        failed = sum(int(api.failed_tokens.sum()) for api in usage.providers)
        processed = target.input_tokens + target.output_tokens + failed
        assert found.tokens.processed == pytest.approx(processed * per_month)
    (api,) = (line for line in found.bill.lines if line.part == "output")
    assert api.quantity == pytest.approx(found.tokens.output)


def test_use_of_two_windows_is_that_of_both_together(tmp_path: Path) -> None:
    """What [0, 150] and [150, 300] used is what [0, 300] used: the same run, with and without a warm-up."""
    first, second, both = (
        {name: outcome.usage for name, (outcome, _) in run(tmp_path, *window).items()}
        for window in ((0.0, 150.0), (150.0, 150.0), (0.0, 300.0))
    )
    (a,), (b,), (whole,) = (found["own"].pools for found in (first, second, both))
    for name in ("billed_s", "busy_s", "idle_s", "input_tokens", "cached_tokens", "output_tokens", "requests"):
        assert getattr(a, name) + getattr(b, name) == pytest.approx(getattr(whole, name)), name
    assert (a.work + b.work).tolist() == whole.work.tolist()
    assert a.energy_by_hour_j.sum() + b.energy_by_hour_j.sum() == pytest.approx(whole.energy_by_hour_j.sum())
    (a_api,), (b_api,), (api,) = (found["api"].providers for found in (first, second, both))
    assert (a_api.tokens + b_api.tokens).tolist() == api.tokens.tolist()
