"""What befell a topology is named as the cause of a missed SLO exactly where it meets the SLO without."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import written

from simulator.decide.rivals import rank
from simulator.decide.standing import contenders
from simulator.decide.why import sentence
from simulator.run.simulate import Run, simulate

SCENARIO = """
schema_version: 1
name: befallen
model: llama-3.1-8b
engine: {quantization: fp8, max_model_len: 4096}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 4}
      lengths: {isl: 300, osl: 40}
      slo: {ttft_s: {p95: 2}}
      max_retries: 0
topologies:
  own: {pools: [{name: base, site: runpod-secure, gpu: l40s, replicas: 1}]}
  api: {providers: [{name: vendor, offer: openai/gpt-4o-mini, requests_per_minute: 0, tokens_per_minute: 0}]}
run: {horizon_s: 120, warmup_s: 0, replications: 1}
cost: {draws: 0}
"""
WINDOW = "{start_s: 30, duration_s: 30}"


def befallen(folder: Path, *sets: str) -> Run:
    return simulate(written(folder, SCENARIO, *sets), folder / "runs")


@pytest.mark.parametrize(
    ("befell", "topology", "cause"),
    [
        (f"topologies[api].providers[vendor].outages={{windows: [{WINDOW}]}}", "api", "the outage of vendor"),
        (f"topologies[api].providers[vendor].throttling=[{WINDOW}]", "api", "429 answers of vendor"),
        (f"topologies[own].pools[base].outages={{windows: [{WINDOW}]}}", "own", "the outage of base"),
        (f"topologies[own].pools[base].server_failures=[{WINDOW}]", "own", "failures of base"),
    ],
)
def test_what_befell_is_named_where_the_slo_is_met_without(
    tmp_path: Path, befell: str, topology: str, cause: str
) -> None:
    run = befallen(tmp_path, befell)
    found = run.summary["topologies"]
    assert {name: one.get("cause", "") for name, one in found.items()} == {"own": "", "api": "", topology: cause}
    assert f"{topology} misses the SLO because of {cause}" in run.summary["verdict"]
    (month, *_) = run.decision["topologies"][topology]["months"]
    assert month["binding"].endswith(f"; without {cause} the SLO is met")
    assert sentence(contenders(found)) == run.summary["verdict"].partition(". ")[0].rstrip(".") + "."


def test_a_storm_after_the_window_is_no_cause_and_a_failure_that_began_before_it_is_one(tmp_path: Path) -> None:
    other = "{name: late, offer: openai/gpt-4o-mini, requests_per_minute: 0, tokens_per_minute: 0"
    sets = [
        f"topologies[own].pools[base].server_failures=[{WINDOW}]",
        f"topologies[own].providers=[{other}, throttling: [{{start_s: 500, duration_s: 60}}]}}]",
        "topologies[own].routing={kind: weighted, weights: {base: 1, late: 1}}",
        "run.warmup_s=31",
    ]
    run = befallen(tmp_path, *sets)
    assert run.summary["topologies"]["own"].get("cause", "") == "failures of base"


def test_months_that_fail_alike_by_other_fleets_are_told_apart(tmp_path: Path) -> None:
    """Of two token APIs that are down all the time no request is answered, by the first nor by what an event makes."""
    event = "{name: tuned, from_month: 2, topology: api, change: {providers: [{name: vendor, ttft_s: {median: 0.5}}]}}"
    sets = [
        "topologies[api].providers[vendor].outages={windows: [{start_s: 0, duration_s: 400}]}",
        "study.months=3",
        f"study.events=[{event}]",
    ]
    run = befallen(tmp_path, *sets)
    months = run.decision["topologies"]["api"]["months"]
    said = [month["binding"].endswith("without the outage of vendor the SLO is met") for month in months]
    assert said == [True, False, False]


def test_hours_without_service_are_not_put_down_to_what_befell_the_fleet(tmp_path: Path) -> None:
    """An outage of a quarter of a second ends one request, which the SLO allows; three days without service do not."""
    move = "{name: move, from_month: 2, topology: api, downtime_h: 72, change: {staff: {base_fte: 0.1}}}"
    sets = [
        "topologies[api].providers[vendor].outages={windows: [{start_s: 30, duration_s: 0.25}]}",
        "topologies[api].providers[vendor].error_probability=0",
        "study.months=2",
        f"study.events=[{move}]",
    ]
    run = befallen(tmp_path, *sets)
    first, second = run.decision["topologies"]["api"]["months"]
    assert first["meets"]
    assert second["binding"] == "move: 72 hours without service"
    assert "cause" not in run.summary["topologies"]["api"]


def test_what_misses_anyway_is_put_down_to_nothing(tmp_path: Path) -> None:
    sets = [
        f"topologies[api].providers[vendor].outages={{windows: [{WINDOW}]}}",
        "topologies[api].providers[vendor].ttft_s={median: 3}",
    ]
    run = befallen(tmp_path, *sets)
    assert "cause" not in run.summary["topologies"]["api"]
    assert rank(contenders(run.summary["topologies"])).missing == ("api",)
    assert "api misses the SLO" in run.summary["verdict"]
    assert "because" not in run.summary["verdict"]


def test_of_two_the_one_that_comes_closest_says_what_it_would_do_without(tmp_path: Path) -> None:
    short = "{start_s: 30, duration_s: 20}"
    sets = [
        f"topologies[api].providers[vendor].outages={{windows: [{short}]}}",
        f"topologies[own].pools[base].outages={{windows: [{WINDOW}]}}",
    ]
    run = befallen(tmp_path, *sets)
    assert run.summary["verdict"].startswith("No topology meets the SLO; api comes closest")
    assert "without the outage of vendor api meets it" in run.summary["verdict"]


@pytest.mark.parametrize(("least", "limits"), [(0, ""), (9000, "; vendor takes 9,000 requests a minute, and no call")])
def test_what_a_storm_rejects_is_not_put_down_to_limits_alone(tmp_path: Path, least: int, limits: str) -> None:
    vendor = "topologies[api].providers[vendor]"
    sets = [f"{vendor}.throttling=[{WINDOW}]", f"{vendor}.requests_per_minute={least}"]
    run = befallen(tmp_path, *sets)
    (told,) = [
        one["text"] for one in run.summary["topologies"]["api"]["warnings"] if one["text"].startswith("rejected (rate")
    ]
    words = "rejected (rate limit): vendor answers 429 in the times of its throttling, whatever its limits are"
    assert told.partition(" waits longer")[0] == words + limits


def test_calls_that_are_made_again_in_a_storm_are_not_said_to_wait_for_limits_alone(tmp_path: Path) -> None:
    """What is waited here is the pause before the second call."""
    storm = "[{start_s: 0, duration_s: 120, share: 0.5}]"
    sets = [f"topologies[api].providers[vendor].throttling={storm}", "workload.classes[chat].max_retries=1"]
    run = befallen(tmp_path, *sets)
    (month, *_) = run.decision["topologies"]["api"]["months"]
    assert "or to be made again after errors, outages and 429 answers" in month["binding"]
