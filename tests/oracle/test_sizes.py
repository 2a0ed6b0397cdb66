"""`auto` finds what trying everything finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, written
from sizes import cheapest, numbers, run_at

from simulator.errors import InputError
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from tests.parts import few

SIZED = Path(__file__).resolve().parents[1] / "data/scenarios/sized.yaml"
OWN, BURST = "topologies.two.pools[base]", "topologies.two.pools[burst]"


def found(topology: str, tmp_path: Path, *sets: str) -> dict[str, Any]:
    return run_at(SIZED, topology, sets, tmp_path)


@pytest.mark.parametrize("rate_rps", few([40, 150, 260], 40))
def test_one_number(rate_rps: int, tmp_path: Path) -> None:
    rate = f"workload.classes[chat].arrivals.rate_rps={rate_rps}"
    best = cheapest(SIZED, "own", numbers(["base"], "own", 7), tmp_path, (rate,))
    assert best is not None
    summary = found("own", tmp_path, rate, "topologies.own.pools[base].replicas=auto")
    (replicas,) = (text.rpartition("=")[2] for text in best[0])
    assert summary["search"]["sizes"] == {"base": replicas}
    assert summary["search"]["claim"] == "proved"
    assert summary["cost"]["usd_per_month"] == best[1]
    assert summary["metrics"]["slo_met"]


@pytest.mark.exhaustive
def test_two_numbers(tmp_path: Path) -> None:
    best = cheapest(SIZED, "two", numbers(["base", "burst"], "two", 3), tmp_path)
    assert best is not None
    summary = found("two", tmp_path, f"{OWN}.replicas=auto", f"{BURST}.replicas=auto")
    # the space of the search also has no burst at all
    without = cheapest(
        SIZED, "two", iter([(f"{OWN}.replicas={n}", f"{BURST}.replicas=0") for n in (1, 2, 3)]), tmp_path
    )
    assert without is not None
    assert summary["cost"]["usd_per_month"] == pytest.approx(min(best[1], without[1]), rel=1e-9)


@pytest.mark.exhaustive
def test_settings_of_an_autoscaler_cost_no_more_than_its_fixed_size(tmp_path: Path) -> None:
    scaled = found("elastic", tmp_path, "topologies.elastic.pools[rented].autoscaler=auto")
    best = cheapest(
        SIZED,
        "elastic",
        numbers(["rented"], "elastic", 4),
        tmp_path,
        ("topologies.elastic.pools[rented].autoscaler=null",),
    )
    assert best is not None
    assert scaled["metrics"]["slo_met"]
    assert scaled["cost"]["usd_per_month"] <= best[1]
    assert scaled["search"]["claim"].startswith("best of ")


def test_a_part_that_is_given_stays(tmp_path: Path) -> None:
    given = "{min: 2, max: auto, target_per_replica: 20}"
    summary = found("elastic", tmp_path, f"topologies.elastic.pools[rented].autoscaler={given}")
    (size,) = summary["search"]["sizes"].values()
    assert size.startswith("2 to ")
    assert size.endswith(" at 20")


def test_the_bundle_holds_the_sizes(tmp_path: Path) -> None:
    run = simulate(load_scenario(SIZED, sets=["topologies.own.pools[base].replicas=auto"]), tmp_path)
    text = run.bundle / "scenario.resolved.yaml"
    again = simulate(load_scenario(text), tmp_path / "again")
    mine, other = (each.summary["topologies"]["own"] for each in (run, again))
    assert mine["cost"] == other["cost"]
    assert mine["metrics"] == other["metrics"]


def test_a_hybrid_without_burst_is_the_owned_fleet(tmp_path: Path) -> None:
    sets = [
        "topologies.own.pools[base].replicas=auto",
        f"{OWN}.replicas=auto",
        f"{BURST}.autoscaler=auto",
        f"{BURST}.price_usd_per_gpu_hour=90",
    ]
    topologies = simulate(load_scenario(SIZED, sets=sets), tmp_path).summary["topologies"]
    own, two = topologies["own"], topologies["two"]
    assert two["search"]["sizes"]["burst"] == "0"
    assert two["fleet"] == own["fleet"]
    assert two["cost"]["usd_per_month"] == own["cost"]["usd_per_month"]


def test_what_no_size_meets_says_what_fails(tmp_path: Path) -> None:
    slo = "workload.classes[chat].slo={tpot_s: {p50: 0.001}}"
    summary = found("own", tmp_path, "topologies.own.pools[base].replicas=auto", slo)
    assert "GPU: chat: tpot p50 of an empty engine is" in summary["search"]["infeasible"]
    assert not summary["metrics"]["slo_met"]


def test_requests_that_nothing_can_hold_are_refused_before_any_search(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no target of topology own"):
        found("own", tmp_path, "topologies.own.pools[base].replicas=auto", "workload.classes[chat].lengths.isl=9000")


def test_a_cold_start_is_named_not_the_gpu(tmp_path: Path) -> None:
    slow = "topologies.elastic.pools[rented].cold_start={provision_s: 30}"
    given = "topologies.elastic.pools[rented].autoscaler={min: 1, max: auto, target_per_replica: 12, period_s: 0.5}"
    rush = "{kind: schedule, rate_rps: 15, spikes: [{start_s: 20, duration_s: 20, factor: 10}]}"
    summary = found("elastic", tmp_path, slow, given, f"workload.classes[chat].arrivals={rush}")
    assert summary["search"]["infeasible"].startswith("cold start: without it ")


def test_a_topology_that_no_size_can_mend_is_an_error_at_its_place(tmp_path: Path) -> None:
    sets = ["topologies.own.pools[base].replicas=auto", "topologies.own.pools[base].tensor_parallel_size=3"]
    with pytest.raises(InputError) as caught:
        found("own", tmp_path, *sets)
    (problem,) = caught.value.problems
    assert problem.path == "topologies.own.pools[0]"


def test_of_equal_bills_the_fewest_replicas_win(tmp_path: Path) -> None:
    """Eight GPUs are paid for whatever runs on them: one fewer is no cheaper, and may do."""
    pool = "site: lambda, gpu: h100-sxm, gpus_per_instance: 8, price_usd_per_gpu_hour: 3.0, replicas: auto"
    pools = ", ".join(f"{{name: {name}, {pool}}}" for name in ("r", "burst"))
    text = chat(f"two: {{pools: [{pools}]}}", study="months: 1", rate_rps=1)
    found = simulate(written(tmp_path, text), tmp_path).summary["topologies"]["two"]
    search = found["search"]
    assert (search["sizes"], search["claim"], search["equal"]) == ({"r": "1", "burst": "0"}, "minimal", ["2 + 0"])
    assert found["cost"]["usd_per_month"] == pytest.approx(8 * 3.0 * 730)
    assert "the same cost: 2 + 0" in {warning["text"] for warning in found["warnings"]}
