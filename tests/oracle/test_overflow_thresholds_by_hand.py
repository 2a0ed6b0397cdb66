"""An overflow that sends requests away from a pool with room for them: said, with what a higher threshold costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scenario_cases import written

from simulator.run.simulate import Run, simulate

SCENARIO = """
schema_version: 1
name: spill
model: llama-3.1-8b-instruct
engine: {max_model_len: 4096, enable_prefix_caching: false}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 6}
      lengths: {isl: 400, osl: 100}
      slo: {ttft_s: {p95: 2.0}, served: 0.98}
topologies:
  hybrid:
    pools: [{name: own, site: lambda, gpu: h100-sxm, price_usd_per_gpu_hour: 2.0, storage_gb: 0, egress_usd_per_gb: 0}]
    providers:
      - {name: api, prices: [{input: 1.0, output: 4.0}], ttft_s: {median: 0.1}, tpot_s: {median: 0.005},
         data_classes: [internal]}
    routing: {kind: overflow, when: {outstanding_per_replica: 2}}
cost: {draws: 0, discount_rate: 0}
study: {months: 1}
run: {horizon_s: 120, warmup_s: 20, keep_requests: false}
"""
WHEN = "topologies.hybrid.routing.when"


def run(folder: Path, *sets: str, advise: bool = True) -> Run:
    return simulate(written(folder, SCENARIO, *sets), folder, advise=advise)


def usd(found: Run) -> float:
    return found.summary["topologies"]["hybrid"]["cost"]["usd_per_month"]


def words(found: Run) -> list[str]:
    told = [one["text"] for one in found.summary["topologies"]["hybrid"]["warnings"]]
    return [text for text in told if text.startswith("the overflow at")]


def test_what_a_tight_threshold_costs_is_what_the_scenario_gives_at_the_higher_one(tmp_path: Path) -> None:
    found = run(tmp_path)
    (told,) = words(found)
    share = found.summary["topologies"]["hybrid"]["metrics"]["overflow_share"]
    assert share > 0.3
    assert told.startswith(f"the overflow at 2 outstanding per replica keeps {share:.1%} of the requests away")
    (key,) = re.findall(r"routing\.when\.outstanding_per_replica=[0-9.]+", told)
    again = run(tmp_path, f"topologies.hybrid.{key}")
    assert again.summary["topologies"]["hybrid"]["metrics"]["slo_met"]
    assert f"${usd(again):,.0f} per month" in told
    assert f"{1 - usd(again) / usd(found):.0%} less" in told
    assert usd(again) == pytest.approx(2 * 730, rel=0.05), "the pool alone, but for a few calls"
    assert not words(again)


def test_of_thresholds_that_double_the_lowest_of_the_cheapest_is_told(tmp_path: Path) -> None:
    (told,) = words(run(tmp_path))
    bills = {n: usd(run(tmp_path, f"{WHEN}.outstanding_per_replica={n}")) for n in (4, 8, 16, 32)}
    assert told.endswith(f"(routing.when.outstanding_per_replica={min(bills, key=bills.__getitem__)})")
    assert bills[32] == min(bills.values()), "beyond the one that is told none costs less"


@pytest.mark.parametrize(("usd_per_million_tokens", "said"), [(0.002, False), (0.1, True)])
def test_less_than_a_hundredth_is_not_worth_saying(tmp_path: Path, usd_per_million_tokens: float, said: bool) -> None:
    """Six calls a second of 500 tokens are 7.884e9 tokens a month, of which above 30 % go away: of $1,460 and these
    0.3 to 1 % at $0.002 (less than $15.8), and above 13 % at $0.1 (more than $236)."""
    prices = f"[{{input: {usd_per_million_tokens}, output: {usd_per_million_tokens}}}]"
    found = run(tmp_path, f"topologies.hybrid.providers[api].prices={prices}")
    assert usd(found) > 2 * 730
    assert bool(words(found)) is said


def test_nothing_is_said_where_nobody_overflows(tmp_path: Path) -> None:
    found = run(tmp_path, f"{WHEN}.outstanding_per_replica=200")
    assert found.summary["topologies"]["hybrid"]["metrics"]["overflow_share"] == 0
    assert not words(found)


def test_nothing_is_said_where_the_pool_is_full(tmp_path: Path) -> None:
    """Four run at once: who would wait for a place behind twelve others spares calls, and waits too long."""
    found, higher = (
        run(tmp_path, "engine.max_num_seqs=4", f"{WHEN}.outstanding_per_replica={limit}") for limit in (8, 16)
    )
    assert found.summary["topologies"]["hybrid"]["metrics"]["overflow_share"] > 0.1
    assert usd(higher) < 0.9 * usd(found)
    assert not higher.summary["topologies"]["hybrid"]["metrics"]["slo_met"]
    assert not words(found)


def test_nothing_is_said_to_who_wants_no_advice(tmp_path: Path) -> None:
    assert not words(run(tmp_path, advise=False))


def test_a_threshold_of_none_waiting_is_raised_too(tmp_path: Path) -> None:
    """Prompts wait for a step as a rule, so none waiting sends some away that would wait for milliseconds."""
    told = words(run(tmp_path, f"{WHEN}={{waiting_per_replica: 0}}", "workload.classes[chat].arrivals.rate_rps=20"))
    assert told
    assert all("waiting per replica" in text for text in told)


def test_where_the_slo_is_missed_a_threshold_that_meets_it_is_told_whatever_it_costs(tmp_path: Path) -> None:
    """The API takes 3 s to a first token; the pool alone, at $1,460 a month, is dearer than calls at a hundredth."""
    cheap = "topologies.hybrid.providers[api].prices=[{input: 0.01, output: 0.04}]"
    slow = "topologies.hybrid.providers[api].ttft_s.median=3"
    (told,) = words(run(tmp_path, cheap, slow))
    assert "the same sizes cost" in told
    assert "per month, and meet the SLO, which they miss as written" in told
    assert "less" not in told
