"""Units of throughput whose terms run on after fewer are written: what is paid for lets tokens through, to its end."""

from __future__ import annotations

from pathlib import Path

import pytest
from agreement import second_bill
from scenario_cases import written

from simulator.run.simulate import simulate

SCENARIO = """
schema_version: 1
name: units
model: llama-3.1-8b-instruct
workload:
  classes:
    - name: calls
      arrivals: {kind: gamma, rate_rps: 16.6666667, cv: 0.001}
      lengths: {isl: 200, osl: 20}
      slo: {e2e_s: {p99: 5}}
topologies:
  units:
    providers:
      - {name: api, prices: [{input: 0, output: 0}], provisioned_units: 80, usd_per_unit_hour: 1, term_months: 12,
         tokens_per_minute_per_unit: 3400, max_wait_s: 1, ttft_s: {median: 0.01}, tpot_s: {median: 0.001},
         data_classes: [internal]}
cost: {draws: 0, discount_rate: 0}
study: {months: 24, events: [{name: fewer, from_month: 7, topology: units, change: {providers: [CHANGE]}}]}
run: {horizon_s: 300, warmup_s: 0}
"""
NEEDED = 1_000 * 220 / 3_400


@pytest.mark.parametrize(
    ("change", "met", "units"),
    [
        ("{name: api, provisioned_units: 40}", [True] * 12 + [False] * 12, [80] * 12 + [40] * 12),
        ("{name: api, provisioned_units: 70, term_months: 1}", [True] * 24, [80] * 12 + [70] * 12),
        ("{name: api, provisioned_units: 40, term_months: null}", [True] * 12 + [False] * 12, [80] * 12 + [40] * 12),
        ("{name: api, provisioned_units: 40, tokens_per_minute_per_unit: 1700}", [True] * 6 + [False] * 18, None),
        ("{name: api, provisioned_units: 40, tokens_per_minute: 136000}", [True] * 6 + [False] * 18, None),
    ],
)
def test_a_term_that_is_paid_to_its_end_lets_tokens_through_to_its_end(
    tmp_path: Path, change: str, met: list[bool], units: list[int] | None
) -> None:
    """1,000 calls a minute of 220 tokens need 64.7 units of 3,400; 80 are bought for a year, 40 are written after half.

    Where a unit lets through half as much, or the limit is written, that holds from the event on.
    """
    result = simulate(written(tmp_path, SCENARIO.replace("CHANGE", change)), tmp_path)
    months = result.decision["topologies"]["units"]["months"]
    assert [month["meets"] for month in months] == met
    assert [month["event"] for month in months] == [""] * 6 + ["fewer"] + [""] * 17
    paid = [80] * 12 + [70 if "units: 70" in change else 40] * 12
    assert [month["usd"] / 730 for month in months] == pytest.approx(paid)
    study = second_bill(result.bundle, "units")
    cost = result.summary["topologies"]["units"]["cost"]
    assert sum(row["usd"] for row in study.mean_lines()) == pytest.approx(cost["usd_per_month"], rel=1e-9)
    words = "months 7 to 12: 80 units of api are there, since terms that are paid run on"
    warnings = result.summary["topologies"]["units"]["warnings"]
    assert any(words in said["text"] for said in warnings) == ("tokens_per_minute:" not in change)
    if units is not None:
        unused = sum(max(n - NEEDED, 0) for n in units) / sum(units)
        assert cost["unused_share"] == pytest.approx(unused, abs=0.01)
