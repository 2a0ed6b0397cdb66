"""Instances of autoscaled pools against arithmetic of its own: each size that Lambda sells, by the ledger of use."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from scenario_cases import chat, trials_of, written

from simulator.resolve.size_values import size_values
from simulator.resolve.sizes import Fixed, Scaled, with_sizes
from simulator.run.simulate import simulate
from simulator.run.written_instances import may_change_instances
from simulator.size.found import Limits

LAMBDA_USD_PER_HOUR = {1: 4.29, 2: 8.38, 4: 16.36, 8: 31.92}
"""H100 SXM instances by their GPUs: price page of 2026-09-20, gpu_offers.csv."""
HOURS_PER_MONTH = 730


def pool(scaler: str, given: str = "") -> str:
    return f"t: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, storage_gb: 0, autoscaler: {scaler}{given}}}]}}"


def run(folder: Path, topology: str, **load: Any) -> tuple[dict[str, Any], float]:
    """What is said of the topology, and the least that a month costs on instances of one size, by its own ledger."""
    load = {"rate_rps": 40, "horizon_s": 300, "warmup_s": 100, "study": "months: 1"} | load
    found = simulate(written(folder, chat(topology, **load)), folder, limits=Limits(max_replicas=10))
    ledger = json.loads((found.bundle / "usage.json").read_text())["t"]
    month = ledger["months"][0]
    uses = [(period["hours"], ledger["usages"][period["usage"]]) for period in month]
    return found.summary["topologies"]["t"], least_usd(uses)


def least_usd(uses: list[tuple[float, dict[str, Any]]]) -> float:
    """Replicas at every moment of the window on as few instances as hold them, at each size; the least of the sizes."""
    totals = dict.fromkeys(LAMBDA_USD_PER_HOUR, 0.0)
    for hours, usage in uses:
        stays = [(stay["start_s"], stay["end_s"]) for stay in usage["pools"][0]["stays"]]
        times = sorted({time for stay in stays for time in stay})
        for begin, end in pairwise(times):
            there = sum(start <= begin and end <= until for start, until in stays)
            part = hours * (end - begin) / (usage["end_s"] - usage["start_s"])
            for gpus, usd in LAMBDA_USD_PER_HOUR.items():
                totals[gpus] += part * math.ceil(there / gpus) * usd
    return min(totals.values())


@pytest.mark.parametrize(
    ("scaler", "gpus"),
    [
        ("{kind: queue, min: 1, max: 8, target_per_replica: 4}", 8),
        ("{kind: queue, min: 7, max: 8, target_per_replica: 500}", 1),
        ("{kind: queue, min: 4, max: 5, target_per_replica: 500}", 4),
    ],
)
def test_a_written_autoscaler_is_on_the_instances_that_its_replicas_cost_least_on(
    tmp_path: Path, scaler: str, gpus: int
) -> None:
    """Eight all the time, seven, four: before the trial single GPUs, one of eight, and single ones were taken."""
    found, least = run(tmp_path, pool(scaler))
    assert found["cost"]["usd_per_month"] == pytest.approx(least)
    named, _ = run(tmp_path, pool(scaler, f", gpus_per_instance: {gpus}"))
    assert named["cost"]["usd_per_month"] == pytest.approx(least)
    assert "gpus_per_instance" not in str(found["warnings"])


@pytest.mark.parametrize(("gpus", "usd_per_hour"), [(1, 2.5 + 7 * 4.29), (2, 5 + 3 * 8.38), (8, 20), (None, 20)])
def test_a_reserved_autoscaler_is_on_the_instances_whose_bill_is_least(
    tmp_path: Path, gpus: int | None, usd_per_hour: float
) -> None:
    """Eight all the time, the instance of the fewest under commitment at $2.50 a GPU, what is above on demand."""
    size = "" if gpus is None else f", gpus_per_instance: {gpus}"
    given = f", billing: reserved, term_months: 12, price_usd_per_gpu_hour: 2.5, egress_usd_per_gb: 0{size}"
    found, _ = run(tmp_path, pool("{kind: queue, min: 1, max: 8, target_per_replica: 4}", given), study="months: 12")
    assert found["cost"]["usd_per_month"] == pytest.approx(usd_per_hour * HOURS_PER_MONTH)
    assert found["cost"]["committed_instances"] == {"p": 1}


FAILURE = (
    ", egress_usd_per_gb: 0, server_failures: [{start_s: 40, duration_s: 1000}], "
    "cold_start: {provision_s: 30, image_s: 0, weights_s: 0, engine_s: 0}"
)
PAID = 30 / 110
"""Of the window from second 10 to 120, for a machine that fails at 40 s and is not replaced in it."""
FAILS = "{kind: queue, min: 4, max: 8, target_per_replica: 500}"


def test_a_written_autoscaler_that_misses_on_one_instance_is_tried_on_others(tmp_path: Path) -> None:
    """Four on one instance fail together for half a minute; on two instances of two GPUs at $8.38 half of them stay."""
    load = {"rate_rps": 12, "horizon_s": 120, "warmup_s": 10}
    together, _ = run(tmp_path, pool(FAILS, f"{FAILURE}, gpus_per_instance: 4"), **load)
    assert not together["metrics"]["slo_met"]
    found, _ = run(tmp_path, pool(FAILS, FAILURE), **load)
    assert found["metrics"]["slo_met"]
    assert found["cost"]["usd_per_month"] == pytest.approx((1 + PAID) * 8.38 * HOURS_PER_MONTH)


def test_one_that_misses_on_every_instance_is_on_the_cheapest(tmp_path: Path) -> None:
    """Eight all the time, with more requests than they can serve: one instance of eight, as where nothing fails."""
    scaler = "{kind: queue, min: 1, max: 8, target_per_replica: 4}"
    found, least = run(tmp_path, pool(scaler, FAILURE), rate_rps=500, horizon_s=120, warmup_s=10)
    assert not found["metrics"]["slo_met"]
    assert least == pytest.approx(31.92 * HOURS_PER_MONTH)
    assert found["cost"]["usd_per_month"] == pytest.approx(PAID * least), "its machine is away from then on"


def test_a_size_that_is_refused_on_one_instance_is_tried_on_others(tmp_path: Path) -> None:
    """The same as a point of a search; where nothing fails, no instance is tried that may not cost less."""
    for given, word, instance, tried in ((FAILURE, "met", "gpu_2x_h100_sxm5", 2), ("", "refused", "", 1)):
        scaler = FAILS.replace("max: 8", "max: auto")
        rate_rps = 12 if given else 400
        text = chat(pool(scaler, given), study="months: 1", rate_rps=rate_rps, horizon_s=120, warmup_s=10)
        trials = trials_of(written(tmp_path, text), "t")
        found = trials((Scaled(4, 8, 500.0),))
        (size,) = found.point
        assert isinstance(size, Scaled)
        assert (found.word, size.instance) == (word, instance)
        assert trials.simulated >= tried
        assert given or trials.simulated == 1


def fixed(replicas: str, given: str = "", more: str = "") -> str:
    pool = f"{{name: p, site: lambda, gpu: h100-sxm, storage_gb: 0, replicas: {replicas}{FAILURE}{given}}}"
    return f"t: {{pools: [{pool}]{more}}}"


def test_a_fixed_number_that_is_refused_on_one_instance_is_found_on_others(tmp_path: Path) -> None:
    """Two on one instance fail together for half a minute; on two of one GPU at $4.29 one of them stays."""
    load = {"rate_rps": 12, "horizon_s": 120, "warmup_s": 10}
    found, _ = run(tmp_path, fixed("auto"), **load)
    assert found["cost"]["usd_per_month"] == pytest.approx((1 + PAID) * 4.29 * HOURS_PER_MONTH)
    named = {gpus: run(tmp_path, fixed("auto", f", gpus_per_instance: {gpus}"), **load)[0] for gpus in (1, 2, 4, 8)}
    least = min(one["cost"]["usd_per_month"] for one in named.values() if one["metrics"]["slo_met"])
    assert found["metrics"]["slo_met"]
    assert found["cost"]["usd_per_month"] == pytest.approx(least)
    assert ("2 on gpu_1x_h100_sxm5", "met") in {(row["sizes"], row["word"]) for row in found["search"]["trail"]}


def test_the_instance_of_a_fixed_number_is_written_with_it(tmp_path: Path) -> None:
    """In the resolved scenario and in the lines of a plan, so that both are the same fleet again."""
    loaded = written(tmp_path, chat(fixed("auto"), study="months: 1"))
    sized = with_sizes(loaded, "t", {0: Fixed(4, "gpu_2x_h100_sxm5")}).scenario.topologies["t"].pools[0]
    assert (sized.replicas, sized.instance) == (4, "gpu_2x_h100_sxm5")
    assert size_values(loaded, "t", {0: Fixed(4, "gpu_2x_h100_sxm5")}) == [
        ("pools[p].instance", "gpu_2x_h100_sxm5"),
        ("pools[p].replicas", 4),
    ]
    assert str(Fixed(4, "gpu_2x_h100_sxm5")) == "4 on gpu_2x_h100_sxm5"


@pytest.mark.exhaustive
def test_a_searched_autoscaler_costs_no_more_than_with_its_instances_written(tmp_path: Path) -> None:
    """Four replicas for 23 hours and one for another: an instance of four is $16.36, single GPUs are $16.62 an hour."""
    study = "months: 1, periods: [{name: busy, hours: 1-24, load: 1.5}, {name: night, hours: 0-1, load: 0.1}]"
    scaler = "{kind: queue, min: 1, max: auto, target_per_replica: 20}"
    load = {"study": study, "tpot_s": 0.0095, "horizon_s": 200}
    found, least = run(tmp_path, pool(scaler), **load)
    assert found["metrics"]["slo_met"]
    assert found["cost"]["usd_per_month"] == pytest.approx(least)
    assert found["cost"]["usd_per_month"] == pytest.approx(16.36 * HOURS_PER_MONTH)
    for gpus in (1, 4):
        named, _ = run(tmp_path, pool(scaler, f", gpus_per_instance: {gpus}"), **load)
        assert found["cost"]["usd_per_month"] <= named["cost"]["usd_per_month"] * (1 + 1e-9), gpus


@pytest.mark.parametrize("size", ["replicas: 2", "replicas: 0, schedule: [{hours: 0-24, replicas: 2}]"])
def test_a_written_number_that_misses_on_one_instance_is_on_others(tmp_path: Path, size: str) -> None:
    """Two on one instance at $8.38 fail together for half a minute; of two at $4.29 one stays. A written size stays."""

    def two(given: str) -> dict[str, Any]:
        pool = f"{{name: p, site: lambda, gpu: h100-sxm, storage_gb: 0, {size}{given}}}"
        return run(tmp_path, f"t: {{pools: [{pool}]}}", rate_rps=12, horizon_s=120, warmup_s=10)[0]

    found, named = two(FAILURE), two(f"{FAILURE}, gpus_per_instance: 2")
    assert found["metrics"]["slo_met"]
    assert found["cost"]["usd_per_month"] == pytest.approx((1 + PAID) * 4.29 * HOURS_PER_MONTH)
    (words,) = (row["text"] for row in found["warnings"] if "gpu_1x" in row["text"])
    assert words.startswith("p is on gpu_1x_h100_sxm5: on gpu_2x_h100_sxm5")
    assert not named["metrics"]["slo_met"]
    assert named["cost"]["usd_per_month"] == pytest.approx(PAID * 8.38 * HOURS_PER_MONTH)
    calm = two("")
    assert "is on gpu" not in str([*calm["warnings"], *named["warnings"]])
    assert calm["metrics"]["slo_met"]
    assert calm["cost"]["usd_per_month"] == pytest.approx(8.38 * HOURS_PER_MONTH, rel=0.001)


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        ("replicas: 2", False),
        ("replicas: 2, failures: true", True),
        ("replicas: 2, server_failures: [{start_s: 9, duration_s: 9}]", True),
        ("replicas: 2, reliability: {mtbf_h: 9, mttr_h: 1}", True),
        ("replicas: 2, failures: true, gpus_per_instance: 2", False),
        ("replicas: auto, failures: true", False),
        ("autoscaler: {kind: queue, min: 1, max: 4, target_per_replica: 9}", True),
    ],
)
def test_what_may_be_tried_on_other_instances_is_known_before(tmp_path: Path, size: str, changes: bool) -> None:
    pool = f"t: {{pools: [{{name: p, site: lambda, gpu: h100-sxm, {size}}}]}}"
    assert may_change_instances(written(tmp_path, chat(pool, study="months: 1"))) is changes
