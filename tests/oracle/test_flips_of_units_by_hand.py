"""Flips of the token price beside units of throughput that are `auto`: the units move with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import written

from simulator.run.simulate import Run, simulate
from simulator.simulate.store import Store

FEE_USD = 1580
UNIT_USD = 73
SCENARIO = f"""
schema_version: 1
name: units
model: llama-3.1-8b-instruct
workload:
  classes:
    - name: calls
      arrivals: {{kind: gamma, rate_rps: 5, cv: 4}}
      lengths: {{isl: 200, osl: 20}}
      slo: {{e2e_s: {{p99: 5}}}}
topologies:
  spill:
    providers:
      - {{name: api, prices: [{{input: 0, output: 0}}], provisioned_units: auto, usd_per_unit_hour: 0.1,
         tokens_per_minute_per_unit: 3400, max_wait_s: 0.1, ttft_s: {{median: 0.01}}, tpot_s: {{median: 0.001}},
         data_classes: [internal]}}
      - {{name: payg, prices: [{{input: 1.5, output: 6}}], ttft_s: {{median: 0.01}}, tpot_s: {{median: 0.001}},
         data_classes: [internal]}}
    routing: {{kind: overflow, order: [api, payg]}}
  flat:
    providers:
      - {{name: flat, prices: [{{input: 0, output: 0}}], fixed_usd_per_month: {FEE_USD}, ttft_s: {{median: 0.01}},
         tpot_s: {{median: 0.001}}, data_classes: [internal]}}
cost: {{draws: 0, discount_rate: 0}}
study: {{months: 1}}
run: {{horizon_s: 120, warmup_s: 30, replications: 1, seed: 5, keep_requests: false}}
"""
UNITS = "topologies.spill.providers[api].provisioned_units"


def at_price(factor: float) -> list[str]:
    place = "topologies.spill.providers[payg].prices[0]"
    return [f"{place}.input={1.5 * factor}", f"{place}.output={6 * factor}"]


def test_a_price_at_which_other_units_are_bought_flips_where_a_run_at_it_has_another_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """22 units at $73 a month take all calls and cost more than the flat fee, so that no price of the tokens beside
    them brings their bill below it: only where fewer are bought does one.
    """
    monkeypatch.setattr("simulator.run.decision.with_volumes", lambda explorer, pairs: pairs)
    monkeypatch.setattr("simulator.run.decision.trial_flips", lambda *asked, **more: [])
    monkeypatch.setattr("simulator.run.decision.capacities", lambda *asked: {})
    store = Store()

    def run(*sets: str, explore_s: float = 0.0) -> Run:
        return simulate(written(tmp_path, SCENARIO, *sets), None, store=store, explore_s=explore_s)

    def units(found: Run) -> int:
        return int(found.decision["topologies"]["spill"]["months"][0]["units"]["api"])

    def usd(found: Run) -> float:
        return float(found.decision["topologies"]["spill"]["usd_per_month"])

    today = run(explore_s=600.0)
    flip = next(one for one in today.decision["flips"] if one["assumption"] == "price of tokens")
    assert (flip["winner"], flip["sure"]) == ("spill", True)
    at = flip["factor"]
    before, after = run(*at_price(at * 1.003)), run(*at_price(at / 1.003))
    assert units(today) * UNIT_USD > FEE_USD
    assert 1 < units(after) < units(today)
    assert usd(after) < FEE_USD < usd(before)
    neighbours = [run(*at_price(at / 1.003), f"{UNITS}={units(after) + more}") for more in (-1, 1)]
    assert all(usd(one) >= usd(after) for one in neighbours)
