"""A run into which few random failures fall says how few are expected and how many it has."""

from __future__ import annotations

import re
from dataclasses import replace

import fleet_cases as cases
import pytest

from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.single import RequestList
from simulator.run.rare_failures import rare_failures
from simulator.study.fleet import FleetSpec, Outages, Reliability
from simulator.study.usage import Usage

WORDS = re.compile(r"p: (\S+) failures of a server are expected in what is simulated, which has (\d+):")


def told(reliability: Reliability, horizon_s: float, seeds: int = 1, **changes: object) -> tuple[float, int] | None:
    """Expected and seen, of two servers of two replicas each."""
    pool = cases.pool("p", 4, gpus_per_server=2, owned=True, reliability=reliability, **changes)
    fleet = cases.fleet((pool,), classes=cases.classes(1))
    words = rare_failures(fleet, [usage(fleet, horizon_s, seed) for seed in range(seeds)])
    if not words:
        return None
    (found,) = (WORDS.match(each) for each in words)
    assert found is not None
    return float(found[1]), int(found[2])


def usage(fleet: FleetSpec, horizon_s: float, seed: int) -> Usage:
    return simulate_fleet(
        fleet,
        RequestList(cases.evenly(1, 1.0)),
        horizon_s=horizon_s,
        drain_s=0.0,
        warmup_s=0.0,
        seed=seed,
        sink=lambda records: None,
    ).usage


def test_what_is_expected_is_who_is_down_at_first_and_who_fails() -> None:
    """Of two servers that work for 90 s and are repaired for 10 s: 2 (10 + 5) / 100 in 5 s, 13 times in 13 runs."""
    faults = Reliability(mtbf_s=90.0, mttr_s=10.0)
    assert told(faults, 5.0) == (0.3, 0)
    expected, seen = told(faults, 5.0, seeds=13) or (0.0, 0)
    assert expected == pytest.approx(3.9)
    assert 0 < seen < 3.9 + 4 * 3.9**0.5


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.36),
        ({"spares": 1, "swap_s": 0.0}, 0.2),
    ],
)
def test_a_spare_counts_with_its_swap(changes: dict[str, object], expected: float) -> None:
    assert told(Reliability(mtbf_s=100.0, mttr_s=11.0), 10.0, **changes) == (pytest.approx(expected, rel=0.06), 0)


def test_enough_failures_and_none_at_all_are_not_told() -> None:
    assert told(Reliability(mtbf_s=90.0, mttr_s=10.0), 400.0) is None
    assert told(Reliability(mttr_s=10.0), 5.0) is None
    pool = cases.pool("p", 0, reliability=Reliability(mtbf_s=9e6, mttr_s=10.0))
    fleet = cases.fleet((pool, replace(pool, name="q")), classes=cases.classes(2))
    assert rare_failures(fleet, [usage(fleet, 5.0, 1)]) == []


def test_outages_of_zones_and_apis_are_told_alike() -> None:
    """(1 + 5) / (9 + 1) outages in 5 s; known ones are there whatever chance does."""
    rare = Outages(mtbf_s=9.0, mttr_s=1.0)
    known = replace(rare, windows=((1.0, 2.0),))
    pools = tuple(cases.pool(name, 1, outages=one) for name, one in (("p", rare), ("q", Outages()), ("r", known)))
    apis = tuple(cases.provider(name=name, outages=one) for name, one in (("a", rare), ("b", known)))
    fleet = cases.fleet(pools, apis)
    found = rare_failures(fleet, [usage(fleet, 5.0, 1)])
    assert [text.partition(" are expected")[0] for text in found] == [
        "p: 0.6 outages of its zone",
        "a: 0.6 outages of it",
    ]
    assert rare_failures(fleet, [usage(fleet, 60.0, 1)]) == []


@pytest.mark.parametrize(("mean_s", "is_told"), [(50.0, True), (5.0, False), (0.0, False)])
def test_reclaims_that_a_run_can_hardly_have_are_told(mean_s: float, is_told: bool) -> None:
    """Two instances of two replicas for 10 s in two runs: 40 s of instances."""
    pool = cases.pool("p", 4, gpus_per_server=2, reliability=Reliability(reclaim_mtbf_s=mean_s))
    fleet = cases.fleet((pool,), classes=cases.classes(1))
    found = rare_failures(fleet, [usage(fleet, 10.0, seed) for seed in (4, 5)])
    assert bool(found) is is_told
    if is_told:
        assert re.match(r"p: (0\.8|1|1\.2) reclaims are expected in what is simulated, which has \d+:", found[0])
