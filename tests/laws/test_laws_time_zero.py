"""Time 0 finds servers, spares and outages as a long use leaves them: what a short window has of them on average."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import simpy
from fleet_cases import classes, evenly, fleet, pool
from numpy.typing import NDArray
from parts import few

from simulator.fleet.outages import OutageClock
from simulator.fleet.servers import Luck
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.laws import check_stays
from simulator.study.fleet import ColdStart, Outages, PoolSpec, Reliability
from simulator.study.usage import Stay

FAULTS = Reliability(mtbf_s=90.0, mttr_s=10.0)


def run(*pools: PoolSpec, horizon_s: float, seed: int = 3, part: int = 0) -> FleetRun:
    spec = fleet(pools, classes=classes(len(pools)))
    found = simulate_fleet(
        spec,
        RequestList(evenly(1, horizon_s / 2)),
        horizon_s=horizon_s,
        drain_s=0.0,
        warmup_s=0.0,
        seed=seed,
        sink=lambda records: None,
        sample_s=horizon_s,
        part=part,
    )
    check_stays(found.usage, spec)
    return found


def lengths(found: FleetRun, state: str) -> NDArray[np.float64]:
    """Of stays that go on since before time 0."""
    stays = (stay for usage in found.usage.pools for stay in usage.stays)
    return np.array([stay.end_s - stay.start_s for stay in stays if stay.state == state and stay.start_s == 0.0])


def is_share(of: NDArray[np.float64], expected: float) -> bool:
    """Whether the mean of independent shares is what is expected, within four standard errors."""
    return abs(float(of.mean()) - expected) < 4 * max(float(of.std(ddof=1)), 1e-12) / np.sqrt(len(of))


def away(found: FleetRun, horizon_s: float) -> NDArray[np.float64]:
    """Share of the window for which each replica is not serving."""
    stays = [stay for usage in found.usage.pools for stay in usage.stays]
    seconds = np.zeros(1 + max(stay.replica for stay in stays))
    for stay in stays:
        if stay.state in ("down", "starting"):
            seconds[stay.replica] += stay.end_s - stay.start_s
    return seconds / horizon_s


@pytest.mark.parametrize(("engine_s", "horizon_s"), few([(0.0, 1.0), (20.0, 1.0), (0.0, 15.0)], (20.0, 1.0)))
def test_without_spares_a_window_has_the_long_run_s_share(engine_s: float, horizon_s: float) -> None:
    """Away = MTTR exp(e/MTBF) + MTBF (exp(e/MTBF) - 1) after the MTBF: starts of length e break off and begin anew."""
    spec = pool(replicas=400, owned=True, reliability=FAULTS, cold_start=ColdStart(7.0, 7.0, 7.0, engine_s))
    found = run(spec, horizon_s=horizon_s)
    tries = np.exp(engine_s / 90.0)
    mean_s = 10.0 * tries + 90.0 * (tries - 1)
    assert is_share(away(found, horizon_s), mean_s / (90.0 + mean_s))
    failed_in_window = 400 * horizon_s / 90.0
    assert found.usage.pools[0].failures <= failed_in_window + 5 * np.sqrt(failed_in_window), "none from before"


def test_what_is_left_of_a_repair_is_as_long_as_a_whole_one_and_of_a_start_half() -> None:
    """A repair is memoryless; of 4 s of a start that hardly ever breaks off, what is left is anything up to 4 s."""
    faults = Reliability(mtbf_s=100.0, mttr_s=20.0)
    spec = pool(replicas=400, owned=True, reliability=faults, cold_start=ColdStart(engine_s=4.0))
    found = run(spec, horizon_s=200.0)
    repairs, starts = lengths(found, "down"), lengths(found, "starting")
    assert len(repairs) > 40
    assert is_share(repairs / 20.0, 1.0)
    assert starts.max() <= 4.0
    assert is_share(starts / 4.0, 0.5)


def test_a_place_with_a_spare_at_hand_is_down_for_the_rest_of_the_swap() -> None:
    """Each failure costs 12 s of swap and 8 s of image, weights and engine, however long the repair takes."""
    cold = ColdStart(provision_s=100.0, image_s=1.0, weights_s=3.0, engine_s=4.0)
    faults = Reliability(mtbf_s=90.0, mttr_s=50.0)
    spec = pool(replicas=400, owned=True, reliability=faults, cold_start=cold, spares=800, swap_s=12.0)
    found = run(spec, horizon_s=20.0)
    swaps, starts = lengths(found, "down"), lengths(found, "starting")
    assert swaps.max() <= 12.0
    assert starts.max() <= 8.0
    assert is_share(swaps / 12.0, 0.5)
    away_s = 12.0 * np.exp(8 / 90) + 90.0 * (np.exp(8 / 90) - 1)
    assert is_share(away(found, 20.0), away_s / (90.0 + away_s))


@pytest.mark.parametrize("spares", few([0, 1, 2], 1))
def test_spares_of_which_some_are_being_repaired_follow_the_machine_repair_model(spares: int) -> None:
    """Two of 2 + s machines serve, failed ones are repaired at once; spares stand in at once; 120 such sites."""
    fail, repair = 1 / 100.0, 1 / 50.0
    weights = [1.0]
    for failed in range(2 + spares):
        weights.append(weights[-1] * min(2, 2 + spares - failed) * fail / ((failed + 1) * repair))
    short = sum(weight * max(0, failed - spares) for failed, weight in enumerate(weights)) / sum(weights)
    one = pool(replicas=2, owned=True, reliability=Reliability(mtbf_s=100.0, mttr_s=50.0), spares=spares)
    found = run(*(replace(one, name=f"p{k}", site=f"site{k}") for k in range(120)), horizon_s=1.0)
    both = away(found, 1.0).reshape(120, 2).mean(axis=1)
    assert is_share(both, short / 2)


def test_a_server_s_past_is_its_own() -> None:
    """A bigger fleet, and another pool with longer repairs and so a longer past, find the same servers down."""
    spec = pool(replicas=40, reliability=FAULTS, gpus_per_server=2, model="m")
    other = pool("other", replicas=40, reliability=Reliability(mtbf_s=70.0, mttr_s=33.3), model="n")

    def down(found: FleetRun) -> list[Stay]:
        return [stay for stay in found.usage.pools[0].stays if stay.state == "down" and stay.replica < 40]

    alone, beside, bigger = (
        run(spec, horizon_s=50.0),
        run(spec, other, horizon_s=50.0),
        run(replace(spec, replicas=60), horizon_s=50.0),
    )
    assert any(stay.start_s == 0.0 for stay in down(alone))
    assert down(alone) == down(beside) == down(bigger)


def test_rented_machines_of_a_job_are_new() -> None:
    """They are launched at time 0, so none of them is being repaired; owned ones stand since long ago."""
    faults = Reliability(mtbf_s=10.0, mttr_s=1_000.0)

    def down_at_first(owned: bool) -> int:
        spec = fleet((pool(replicas=50, owned=owned, reliability=faults),), classes=classes(1))
        found = simulate_fleet(
            spec,
            RequestList(evenly(1, 0.0)),
            horizon_s=1.0,
            drain_s=0.0,
            warmup_s=0.0,
            seed=3,
            sink=lambda records: None,
            job_s=0.0,
        )
        return len(lengths(found, "down"))

    assert down_at_first(owned=False) == 0
    assert down_at_first(owned=True) > 30


def test_a_repair_that_takes_for_ever_and_failures_all_the_time_end() -> None:
    """The past has at most as many failures as repairs fit into it."""
    spec = pool(replicas=3, owned=True, reliability=Reliability(mtbf_s=1e-3, mttr_s=1e9))
    assert away(run(spec, horizon_s=0.01), 0.01).min() > 0.9


def outage_clocks(outages: Outages, until_s: float) -> list[OutageClock]:
    env = simpy.Environment()
    nothing: Callable[[], None] = lambda: None  # noqa: E731
    clocks = [OutageClock(env, outages, Luck(5, ("outages", k)), nothing, nothing) for k in range(2_000)]
    env.run(until=until_s)
    return clocks


@pytest.mark.parametrize("until_s", [0.5, 40.0])
def test_random_outages_are_under_way_at_time_0_as_often_as_ever(until_s: float) -> None:
    clocks = outage_clocks(Outages(mtbf_s=90.0, mttr_s=10.0), until_s)
    assert is_share(np.array([clock.down_s(0.0, until_s) / until_s for clock in clocks]), 0.1)


def test_a_zone_that_is_down_at_time_0_has_nobody_who_serves() -> None:
    down = pool(outages=Outages(mtbf_s=1e-9, mttr_s=1e9), cold_start=ColdStart(engine_s=3.0))
    usage = run(down, horizon_s=100.0).usage.pools[0]
    assert (usage.outages, usage.zone_down_s, usage.billed_s) == (1, 100.0, 0.0)


def serving(found: FleetRun, horizon_s: float, replicas: int) -> NDArray[np.float64]:
    """Share of the window for which each of so many replicas serves; none is there while its launch waits."""
    seconds = np.zeros(replicas)
    for stay in (stay for usage in found.usage.pools for stay in usage.stays if stay.state == "serving"):
        seconds[stay.replica % replicas] += stay.end_s - stay.start_s
    return seconds / horizon_s


@pytest.mark.parametrize(("lacks", "horizon_s"), few([(0.0, 1.0), (0.5, 1.0), (0.5, 15.0)], (0.5, 1.0)))
def test_spot_capacity_is_being_replaced_at_time_0_as_often_as_ever(lacks: float, horizon_s: float) -> None:
    """Each try waits 8 s p/(1-p) for capacity and starts for 20 s, after 90 s: exp(20/90) tries, all but one broken."""
    faults = Reliability(reclaim_mtbf_s=90.0, unavailable_probability=lacks, retry_s=8.0)
    spec = pool(replicas=400, reliability=faults, cold_start=ColdStart(5.0, 5.0, 5.0, 5.0))
    found = run(spec, horizon_s=horizon_s)
    tries = np.exp(20 / 90)
    away_s = tries * 8.0 * lacks / (1 - lacks) + 90.0 * (tries - 1)
    assert is_share(serving(found, horizon_s, 400), 90.0 / (90.0 + away_s))
    reclaimed = 400 * horizon_s / 90.0
    assert found.usage.pools[0].reclaims <= reclaimed + 5 * np.sqrt(reclaimed), "none from before"


def test_a_zone_that_was_reclaimed_as_one_comes_back_as_one() -> None:
    """All or none serve at first; of 300 zones the share of the one replica that is reclaimed by itself."""
    faults = Reliability(reclaim_mtbf_s=90.0, reclaim_correlation=1.0)
    one = pool(replicas=2, reliability=faults, cold_start=ColdStart(engine_s=20.0))
    found = run(*(replace(one, name=f"p{k}", site=f"site{k}") for k in range(300)), horizon_s=1e-3)
    states = [{stay.state for stay in usage.stays} for usage in found.usage.pools]
    assert all(len(each) == 1 for each in states)
    away_s = 90.0 * (np.exp(20 / 90) - 1)
    assert is_share(np.array([each == {"starting"} for each in states], float), away_s / (90.0 + away_s))


def test_a_bigger_spot_fleet_meets_the_same_reclaims_before_time_0() -> None:
    faults = Reliability(reclaim_mtbf_s=90.0)
    spec = pool(replicas=40, reliability=faults, cold_start=ColdStart(engine_s=20.0))

    def starting(found: FleetRun) -> list[Stay]:
        mine = [stay for stay in found.usage.pools[0].stays if stay.start_s == 0.0 and stay.replica < 40]
        return [stay for stay in mine if stay.state == "starting"]

    small, big = run(spec, horizon_s=5.0), run(replace(spec, replicas=60), horizon_s=5.0)
    assert starting(small)
    assert starting(small) == starting(big)


def test_each_part_of_a_month_meets_faults_of_its_own_and_a_bigger_fleet_the_same() -> None:
    """Servers down at time 0 are as many in 60 parts on average, but not the same; 20 more servers change none."""
    spec = pool(replicas=20, owned=True, reliability=FAULTS)

    def down(replicas: int, part: int) -> frozenset[int]:
        stays = run(replace(spec, replicas=replicas), horizon_s=0.01, part=part).usage.pools[0].stays
        return frozenset(stay.server for stay in stays if stay.state == "down" and stay.server < 20)

    found = [down(20, part) for part in range(60)]
    assert len(set(found)) > 20
    assert is_share(np.array([len(each) / 20 for each in found]), 0.1)
    assert [down(40, part) for part in range(5)] == found[:5]
