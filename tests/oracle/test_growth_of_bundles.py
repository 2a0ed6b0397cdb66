"""What grows over the months: pools that the first month does not need, instances as they are sold at each size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bills
import pytest
from agreement import second_bill
from scenario_cases import chat, written

from simulator.catalog.offers import gpu_offer, instances_for
from simulator.run.simulate import Run, simulate
from simulator.scenario.load import load_scenario

HYBRID = (
    "hybrid: {servers: [{name: ours, site: datacentre, gpus_per_server: 1, capex_usd: 300000, spares: 0}], pools: ["
    "{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}, "
    "{name: burst, site: lambda, gpu: h100-sxm, replicas: auto}], "
    "routing: {kind: overflow, when: {outstanding_per_replica: 20}}}"
)
RENTED = "rent: {pools: [{name: pool, site: lambda, gpu: h100-sxm, replicas: auto}]}"
RESERVED = (
    "rent: {pools: [{name: pool, site: lambda, gpu: h100-sxm, replicas: auto, billing: reserved_1y, "
    "price_usd_per_gpu_hour: 2.0}]}"
)


def run(tmp_path: Path, topology: str, load: str = "3.0", study: str = "growth_per_year: 0") -> Run:
    study = f"months: 6, load_steps: [{{from_month: 3, load: {load}}}], {study}"
    return simulate(written(tmp_path, chat(topology, study=study, draws=40)), tmp_path)


def told(result: Run, name: str) -> tuple[list[dict[str, Any]], bills.Study]:
    """Months of a topology, and its bill by the second arithmetic."""
    return result.decision["topologies"][name]["months"], second_bill(result.bundle, name)


def test_a_pool_that_the_first_month_does_not_need_is_added_when_growth_needs_it(tmp_path: Path) -> None:
    result = run(tmp_path, HYBRID)
    months, study = told(result, "hybrid")
    sizes = [tuple(month["replicas"]) for month in months]
    assert sizes[0] == (1, 0), "the first month is served by what one owns"
    assert sizes[2][0] == 1, "a server for 300,000 is not bought for it"
    assert sizes[2][1] > 0
    assert [month["meets"] for month in months] == [True] * 6
    assert result.decision["topologies"]["hybrid"]["lasts_until"] is None
    burst = [offer for offer in study.terms["rented"] if offer["pool"] == "burst"]
    assert [offer["span"] for offer in burst] == [{"first": 3, "last": None}]
    lines = {line["owner"] for line in study.lines(1)}, {line["owner"] for line in study.lines(2)}
    assert lines[1] - lines[0] == {"burst"}
    cost = result.summary["topologies"]["hybrid"]["cost"]
    assert study.npv() == pytest.approx(-cost["npv_usd"], rel=1e-9)
    low, high = (result.summary["topologies"]["hybrid"]["uncertainty"]["usd_per_month"][k] for k in ("low", "high"))
    assert low < cost["usd_per_month"] < high


@pytest.mark.parametrize(
    ("change", "burst"), [("replicas: 1", 1), ("egress_usd_per_gb: 0.5", 0), ("price_usd_per_gpu_hour: 9.0", 0)]
)
def test_an_event_may_change_a_pool_that_the_months_before_it_do_not_need(
    tmp_path: Path, change: str, burst: int
) -> None:
    """The search leaves the burst out; the event that changes it still finds it, in the run and in what it wrote."""
    event = f"{{name: more, from_month: 4, topology: hybrid, change: {{pools: [{{name: burst, {change}}}]}}}}"
    found = run(tmp_path, HYBRID, load="1.0", study=f"events: [{event}]")
    months, study = told(found, "hybrid")
    assert [month["replicas"][1] for month in months] == [0] * 3 + [burst] * 3
    assert study.npv() == pytest.approx(-found.summary["topologies"]["hybrid"]["cost"]["npv_usd"], rel=1e-9)
    again = simulate(load_scenario(found.bundle / "scenario.resolved.yaml"), None)
    usd = [one.summary["topologies"]["hybrid"]["cost"]["usd_per_month"] for one in (found, again)]
    assert usd[1] == pytest.approx(usd[0], rel=1e-9)


def test_rented_pools_are_on_the_instances_that_hold_each_size_for_least(tmp_path: Path) -> None:
    months, study = told(run(tmp_path, RENTED, "9.0"), "rent")
    sizes = [month["replicas"][0] for month in months]
    assert sizes[0] < sizes[2]
    for k, n in enumerate(sizes):
        offer = gpu_offer("lambda", "h100-sxm", replicas=n)
        usd = instances_for(1, n, offer.gpus_per_instance) * offer.usd_per_instance_hour * 730
        assert sum(line["usd"] for line in study.lines(k) if line["category"] == "on demand") == pytest.approx(usd)
    assert len({offer["gpus_per_instance"] for offer in study.terms["rented"]}) > 1


def test_commitments_stay_as_agreed_and_what_grows_is_paid_above_them(tmp_path: Path) -> None:
    months, study = told(run(tmp_path, RESERVED, "3.0"), "rent")
    assert months[0]["replicas"] < months[2]["replicas"]
    (offer,) = study.terms["rented"]
    assert offer["span"] == {"first": 1, "last": None}
    usd = {
        category: [sum(row["usd"] for row in study.lines(k) if row["category"] == category) for k in (0, 2)]
        for category in ("committed", "on demand")
    }
    assert usd["committed"][0] == pytest.approx(usd["committed"][1])
    assert usd["on demand"][0] < usd["on demand"][1]
