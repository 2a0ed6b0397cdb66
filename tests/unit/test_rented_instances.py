"""The instance that a rented pool is on is the one that costs least over its time, not at its largest."""

from __future__ import annotations

from pathlib import Path

import pytest
from bill_cases import pool as pool_use
from scenario_cases import chat, written

from simulator.catalog.grids import grid
from simulator.catalog.offers import gpu_offer
from simulator.errors import InputError
from simulator.resolve.offers import catalog_offer, committed_instances, gpus_per_instance, replica_shares
from simulator.run.measured_instances import cheaper_instances
from simulator.run.simulate import simulate
from simulator.schema.pool import Pool
from simulator.schema.topology import Topology
from simulator.size.found import Limits
from simulator.size.instances import better_instance, has_choice, replica_hours
from simulator.study.decision import Served, Share, Walked
from simulator.study.demand import WHOLE_MONTH
from simulator.study.usage import Stay, Usage

OFFICE = [{"days": "mon-fri", "hours": "9-17", "replicas": 4}]
NIGHT = [{"hours": "22-6", "replicas": 1}]
RESERVED = {"billing": "reserved", "term_months": 12, "price_usd_per_gpu_hour": 2.5}
SCALER = {"kind": "queue", "min": 1, "max": 4, "target_per_replica": 8}


def pool(**given: object) -> Pool:
    return Pool.model_validate({"name": "p", "site": "lambda", "gpu": "h100-sxm", **given})


@pytest.mark.parametrize(
    ("given", "shares"),
    [
        ({"replicas": 3}, {3: 1.0}),
        ({"replicas": 1, "schedule": OFFICE}, {4: 40 / 168, 1: 128 / 168}),
        ({"replicas": 0, "schedule": OFFICE}, {4: 40 / 168}),
        ({"replicas": 0, "schedule": [{"hours": "auto", "replicas": 4}]}, {4: 1.0}),
        ({"autoscaler": SCALER}, {1: 0.5, 4: 0.5}),
        ({"autoscaler": SCALER | {"min": "auto"}}, {4: 1.0}),
        ({"replicas": "auto"}, {1: 1.0}),
        ({"replicas": 1, "schedule": OFFICE, "billing": "reserved_1y"}, {4: 40 / 168, 1: 128 / 168}),
    ],
)
def test_numbers_of_replicas_and_their_shares(given: dict[str, object], shares: dict[int, float]) -> None:
    assert replica_shares(pool(**given)) == pytest.approx(shares)


@pytest.mark.parametrize(
    ("given", "gpus"),
    [
        ({"replicas": 4}, 4),
        ({"replicas": 1, "schedule": OFFICE}, 1),
        ({"autoscaler": SCALER}, 1),
        ({"autoscaler": SCALER | {"min": 4}}, 4),
        ({"replicas": 7, "price_usd_per_gpu_hour": 2.0}, 1),
        ({"replicas": 8, "price_usd_per_gpu_hour": 2.0}, 8),
        ({"autoscaler": SCALER, "price_usd_per_gpu_hour": 2.0}, 1),
        ({"autoscaler": SCALER, "gpus_per_instance": 4}, 4),
        ({"replicas": 7, "price_by_hour_usd_per_gpu_hour": [2.0] * 24}, 1),
        ({"replicas": 4} | RESERVED, 4),
        ({"replicas": 1, "schedule": OFFICE} | RESERVED, 1),
        ({"replicas": 4, "schedule": NIGHT} | RESERVED, 4),
        ({"autoscaler": SCALER} | RESERVED, 1),
        ({"autoscaler": SCALER, "commitments": 0} | RESERVED, 1),
    ],
)
def test_instances_of_a_pool(given: dict[str, object], gpus: int) -> None:
    """At Lambda a GPU costs 4.29 alone, 4.09 of four and 3.99 of eight."""
    assert gpus_per_instance(pool(**given)) == gpus


@pytest.mark.parametrize("replicas", [1, 2, 4, 9])
def test_a_size_that_is_named_has_its_own_price(replicas: int) -> None:
    offer = catalog_offer(pool(replicas=replicas, gpus_per_instance=4), "on_demand")
    assert offer is not None
    assert (
        offer.usd_per_instance_hour
        == gpu_offer("lambda", "h100-sxm", instance="gpu_4x_h100_sxm5").usd_per_instance_hour
    )


@pytest.mark.parametrize(
    ("given", "instances"),
    [
        ({"replicas": 3}, 3),
        ({"replicas": 1, "schedule": OFFICE}, 1),
        ({"autoscaler": SCALER | {"min": 2}}, 2),
        ({"autoscaler": SCALER | {"min": "auto"}}, 0),
        ({"replicas": 3, "commitments": 2}, 2),
        ({"replicas": 3, "commitments": "auto"}, 0),
        ({"replicas": 3, "tensor_parallel_size": 2}, 3),
    ],
)
def test_what_a_reserved_pool_commits_to(given: dict[str, object], instances: int) -> None:
    """Those of its replicas at the start, of an autoscaler its fewest, on instances of two GPUs at most."""
    found = pool(**RESERVED | given)
    assert committed_instances(found, found.tensor_parallel_size) == instances


def test_a_reserved_pool_commits_to_what_it_always_has(tmp_path: Path) -> None:
    """One GPU under commitment at $2.5, three more on demand at $4 in 40 hours and a half of 168, with six minutes
    before each window; four were under commitment."""
    scheduled = (
        "t: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: 1, billing: reserved, term_months: 12, "
        "price_usd_per_gpu_hour: 2.5, on_demand_usd_per_gpu_hour: 4, storage_gb: 0, egress_usd_per_gb: 0, "
        "start_early_s: 360, schedule: [{days: mon-fri, hours: 9-17, replicas: 4}]}]}"
    )
    study = "months: 12, periods: [{name: work, days: mon-fri, hours: 9-17}, {name: off, start: sat 10}]"
    loaded = written(tmp_path, chat(scheduled, study=study, rate_rps=2, horizon_s=30, warmup_s=5))
    cost = simulate(loaded, tmp_path).summary["topologies"]["t"]["cost"]
    assert cost["usd_per_month"] == pytest.approx(730 * (2.5 + 3 * 4 * 40.5 / 168))


def test_a_schedule_pays_for_the_replicas_that_it_has(tmp_path: Path) -> None:
    """40 hours a week of n replicas, the rest of one: as many GPU-hours, whatever instances Lambda sells."""
    scheduled = (
        "t: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: 1, price_usd_per_gpu_hour: 4, storage_gb: 0, "
        "start_early_s: 0, schedule: [{days: mon-fri, hours: 9-17, replicas: auto}]}]}"
    )
    study = (
        "months: 1, periods: [{name: work, days: mon-fri, hours: 9-17, load: 4}, {name: off, load: 0.2, start: sat 10}]"
    )
    loaded = written(tmp_path, chat(scheduled, study=study, rate_rps=20, horizon_s=30, warmup_s=5))
    found = simulate(loaded, tmp_path, limits=Limits(max_replicas=6)).summary["topologies"]["t"]
    n = int(found["search"]["sizes"]["p"])
    met = [row for row in found["search"]["trail"] if row["word"] == "met"]
    assert n == min(int(row["sizes"]) for row in met)
    assert all(row["word"] == "excluded" for row in found["search"]["trail"] if int(row["sizes"]) > n + 1)
    for row in met:
        hours = 730 * (40 / 168 * int(row["sizes"]) + 128 / 168)
        assert row["usd_per_month"] == pytest.approx(4 * hours)


def used(*numbers: tuple[int, float], span_s: float = 1000.0) -> Usage:
    """A window from second 100 on, in which so many replicas were there for so many seconds each."""
    stays, at_s = [], 100.0
    for n, length_s in numbers:
        stays += [Stay(k, k // 8, "serving", at_s, at_s + length_s) for k in range(n)]
        at_s += length_s
    return Usage(100.0 + span_s, (pool_use("p", 1, stays, 100.0 + span_s),), (), (), 100.0)


def month(usage: Usage) -> Walked:
    return Walked(1, (1.0,), (8,), True, 1.0, "", (Share(730.0, WHOLE_MONTH, Served(True, 1.0, "", (usage,))),))


def test_replicas_are_counted_for_the_time_that_they_were_there() -> None:
    assert replica_hours("p", [(730, [used((8, 900.0), (7, 100.0))])]) == pytest.approx({8: 0.9, 7: 0.1})
    assert replica_hours("p", [(730, [used((0, 400.0), (2, 600.0))])]) == pytest.approx({2: 0.6})
    two = used((2, 1000.0)), used((4, 1000.0))
    assert replica_hours("p", [(365, [one]) for one in two]) == pytest.approx({2: 0.5, 4: 0.5})
    assert replica_hours("p", [(730, two)]) == pytest.approx({2: 0.5, 4: 0.5})


WIDE = {"autoscaler": SCALER | {"max": 8}}


@pytest.mark.parametrize(
    ("had", "given", "gpus", "saved_usd_per_hour"),
    [
        ({1: 0.5, 8: 0.5}, {"gpus_per_instance": 8}, 1, 31.92 - 4.5 * 4.29),
        ({8: 0.9, 7: 0.1}, {}, 8, 7.9 * 4.29 - 31.92),
        ({3: 0.5, 4: 0.5}, {"gpus_per_instance": 8}, 1, 31.92 - 3.5 * 4.29),
        ({4: 1.0}, {"gpus_per_instance": 8}, 4, 31.92 - 16.36),
        ({7: 1.0}, {"autoscaler": SCALER | {"min": 7, "max": 8}}, 1, 31.92 - 7 * 4.29),
        ({8: 0.9, 7: 0.1}, {"price_usd_per_gpu_hour": 4.0, "gpus_per_instance": 8}, 1, 4.0 * (8 - 7.9)),
    ],
)
def test_the_instances_that_hold_for_least_what_was_there(
    had: dict[int, float], given: dict[str, object], gpus: int, saved_usd_per_hour: float
) -> None:
    """At Lambda a GPU costs 4.29 alone, 4.09 of four and 3.99 of eight."""
    found = better_instance(pool(**WIDE | given), had)
    assert found is not None
    assert found.offer.gpus_per_instance == gpus
    assert found.usd_per_hour == pytest.approx(saved_usd_per_hour)


@pytest.mark.parametrize("had", [{}, {1: 0.5, 8: 0.5}, {3: 0.5, 5: 0.5}])
def test_single_gpus_stay_where_nothing_costs_less(had: dict[int, float]) -> None:
    assert better_instance(pool(**WIDE), had) is None


def test_other_instances_than_those_written_are_told() -> None:
    """7.9 single GPUs at $4.29 on average; eight on one instance cost $31.92 an hour, whatever runs on them."""
    full, quiet = [month(used((8, 900.0), (7, 100.0)))], [month(used((8, 300.0), (1, 700.0)))]
    single, eight = (topology(WIDE | {"gpus_per_instance": n}) for n in (1, 8))
    (words,) = cheaper_instances(single, single, full)
    assert "p is on instances with 1 GPU; " in words
    assert "try gpus_per_instance: 8" in words
    assert f"${(7.9 * 4.29 - 31.92) * 730:,.0f} a month" in words
    assert cheaper_instances(single, single, quiet) == []
    assert "try gpus_per_instance: 1" in cheaper_instances(eight, eight, quiet)[0]
    assert cheaper_instances(topology(WIDE), single, full) == [], "what is left open was chosen by its trial"
    (words,) = cheaper_instances(*[topology(WIDE | RESERVED | {"gpus_per_instance": 1})] * 2, full)
    assert "try gpus_per_instance: 8" in words
    assert f"${(2.5 + 6.9 * 4.29 - 8 * 2.5) * 730:,.0f} a month" in words, "one instance is under commitment"
    given = WIDE | RESERVED | {"commitments": 1}
    for other in ({"replicas": 8}, given, {"billing": "owned", "site": "onprem"}):
        told = topology(other | {"gpus_per_instance": 1} if other.get("billing") != "owned" else other)
        assert cheaper_instances(told, told, full) == []


def topology(given: dict[str, object]) -> Topology:
    return Topology.model_validate({"pools": [{"name": "p", "site": "lambda", "gpu": "h100-sxm", **given}]})


def test_a_commitment_that_nobody_sells_is_refused_before_any_search(tmp_path: Path) -> None:
    """At AWS terms are sold in instances of eight alone."""
    mix = (
        "b: {pools: [{name: p, site: aws-us-east, gpu: h100-sxm, instance: p5.4xlarge, commitments: auto, "
        "replicas: auto}]}"
    )
    first = "a: {pools: [{name: p, site: lambda, gpu: h100-sxm, replicas: auto}]}"
    told: list[str] = []
    with pytest.raises(InputError, match="gpus_per_instance: 8"):
        simulate(written(tmp_path, chat(first, mix, study="months: 1")), tmp_path, lambda what, _: told.append(what))
    assert told == []


def test_an_offer_of_one_s_own_needs_no_site_of_the_catalog(tmp_path: Path) -> None:
    """Its grid and data are those that the pool says, times and least billing estimates that are named."""
    pool = "{name: g, gpu: h100-sxm, price_usd_per_gpu_hour: 2.1, grid: de, data_classes: [restricted]}"
    text = chat(f"mine: {{pools: [{pool}]}}", study="months: 1", rate_rps=1)
    run = simulate(written(tmp_path, text, "workload.classes[chat].data_class=restricted"), None)
    found = run.summary["topologies"]["mine"]
    assert found["metrics"]["served_share"] == 1
    assert found["cost"]["usd_per_month"] == pytest.approx(2.1 * 730)
    (energy,) = found["cost"]["energy"]
    german = grid("de").co2_kg_per_kwh[0]  # the simulated minute is the first of a day of January
    assert energy["co2_kg_per_month"] / energy["kwh_per_month"] == pytest.approx(german, rel=1e-6)
    said = " ".join(warning["text"] for warning in found["warnings"])
    assert "least time that is billed of elsewhere" in said
    assert "PUE at elsewhere is an estimate" in said
    assert "egress at elsewhere" in said
    assert "provision at elsewhere" in said


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ("gpu: h100-sxm", "a price of one's own is price_usd_per_gpu_hour"),
        ("gpu: h100-sxm, billing: owned", "elsewhere rents out GPUs"),
        ("gpu: h100-sxm, price_usd_per_gpu_hour: 2, grid: deu", "did you mean 'de'"),
        ("site: datacentre, gpu: h100-sxm, billing: owned, grid: de", "co2_kg_per_kwh"),
    ],
)
def test_what_stands_nowhere_says_what_it_lacks(pool: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        simulate(written(tmp_path, chat(f"mine: {{pools: [{{name: g, {pool}}}]}}", study="months: 1")), None)


@pytest.mark.parametrize(
    ("site", "gpu", "several"),
    [
        ("aws-us-east", "h100-sxm", True),
        ("aws-us-east", "h200", False),
        ("lambda", "b200", True),
        ("lambda", "h100-pcie", False),
        ("datacentre", "h100-sxm", False),
    ],
)
def test_a_pool_has_a_choice_where_several_instances_of_its_gpu_are_sold(site: str, gpu: str, several: bool) -> None:
    assert has_choice(Pool.model_validate({"name": "p", "site": site, "gpu": gpu})) is several
