"""A threshold of an overflow that is left open is the cheapest there is, and the same for all commands."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from scenario_cases import SCALED, beside_an_api, trials_of, written

from simulator.errors import InputError
from simulator.plan.plan import plan_fleet
from simulator.resolve.open_thresholds import has_open_threshold, with_threshold
from simulator.resolve.sizes import Fixed, Scaled
from simulator.resolve.topology import plan_topology
from simulator.run.evaluate import evaluate
from simulator.run.loads import loads_of
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario
from simulator.simulate.store import Store
from simulator.size.answer import searched
from simulator.size.found import Limits
from simulator.size.thresholds import Threshold, best_threshold

OPEN = "{kind: overflow, order: [gpus, api], when: {outstanding_per_replica: auto}}"
TEXT = beside_an_api(3.5, 2, 0.3, 0.3, "replicas: 1", OPEN)
TOGETHER = beside_an_api(3.5, 2, 0.3, 0.3, SCALED, OPEN)


def usd_at(loaded: LoadedScenario, n: int) -> float:
    """USD per month of the cheapest size at a threshold; infinite where none meets."""
    trials = trials_of(with_threshold(loaded, "t", n), "t")
    if not trials.pools:
        tried = trials(())
        return tried.usd_per_month if tried.word == "met" else math.inf
    best = searched(trials).best
    return math.inf if best is None else best.usd_per_month


def test_what_a_fixed_pool_keeps_from_an_api_is_as_much_as_the_slo_lets_it(tmp_path: Path) -> None:
    """The pool is paid for: each request more that it takes spares tokens, until a tenth of them come too slowly."""
    loaded = written(tmp_path, TEXT)
    found = best_threshold(loaded, "t", loads_of(loaded).first_month, Store())
    usd = dict(found.usd_by_tried)
    every = {n: usd_at(loaded, n) for n in range(1, 61, 2)}
    assert math.inf in every.values(), "some threshold leaves too many with the pool"
    assert usd[found.outstanding_per_replica] == min(usd.values()) < math.inf
    assert usd[found.outstanding_per_replica] <= min(every.values()) * 1.02
    assert min(every.values()) < every[1] * 0.8, "one that is too low costs more"
    assert len(usd) < 12


def test_a_threshold_and_the_settings_of_an_autoscaler_are_found_together(tmp_path: Path) -> None:
    loaded = written(tmp_path, TOGETHER)
    found = best_threshold(loaded, "t", loads_of(loaded).first_month, Store())
    usd = dict(found.usd_by_tried)
    assert usd[found.outstanding_per_replica] <= min(usd_at(loaded, n) for n in (2, 4, 8, 12, 16, 20, 24)) * 1.02
    assert (
        f"overflow at {found.outstanding_per_replica} outstanding per replica, best of {len(usd)} tried" in found.words
    )


def test_a_rival_keeps_no_autoscaler_from_being_found(tmp_path: Path) -> None:
    """Fixed numbers that cost more than the rival are looked at all the same: settings are looked for beside them."""
    text = beside_an_api(3.5, 8, 0.3, 0.5, SCALED, OPEN)
    loaded = written(tmp_path, text[: text.index("    providers:")] + text[text.index("study:") :])
    free = searched(trials_of(loaded, "t")).best
    assert free is not None
    assert isinstance(free.point[0], Scaled)
    trials = trials_of(loaded, "t")
    fixed = [trials((Fixed(n),)) for n in range(1, 9)]
    rival = replace(free, usd=(free.usd_per_month * 1.02,))
    assert rival.usd_per_month < min(one.usd_per_month for one in fixed if one.word == "met") / 1.5
    raced = searched(trials_of(loaded, "t"), rival=rival).best
    assert raced is not None
    assert raced.usd_per_month == pytest.approx(free.usd_per_month)


def test_run_plan_and_sweep_find_the_same_and_say_it(tmp_path: Path) -> None:
    loaded = written(tmp_path, TEXT)
    run = simulate(loaded, tmp_path / "runs")
    found = best_threshold(loaded, "t", loads_of(loaded).first_month, Store())
    n = found.outstanding_per_replica
    resolved = (run.bundle / "scenario.resolved.yaml").read_text("utf-8")
    assert f"outstanding_per_replica: {n}" in resolved
    assert [one for one in run.summary["topologies"]["t"]["warnings"] if found.words in str(one)]
    usd = run.summary["topologies"]["t"]["cost"]["usd_per_month"]
    assert usd == pytest.approx(dict(found.usd_by_tried)[n])
    assert evaluate(loaded, "t").summary.cost["usd_per_month"] == pytest.approx(usd)
    open_size = written(tmp_path, TEXT.replace("replicas: 1,", "replicas: auto,"))
    (row,) = [one for one in plan_fleet(open_size).fleets if one["cheapest"]]
    whole = simulate(open_size, tmp_path / "runs").summary["topologies"]["t"]["cost"]["usd_per_month"]
    assert row["usd_per_month"] == pytest.approx(whole)
    assert f"topologies.t.routing.when.outstanding_per_replica={row['overflow_at']:g}" in row["set"]


def test_it_is_found_for_the_month_that_asks_most_before_an_event(tmp_path: Path) -> None:
    growing = TEXT.replace("study: {months: 1}", "study: {months: 6, growth_per_year: 3.0}")
    event = "{name: more, topology: t, from_month: 4, change: {pools: [{name: gpus, replicas: 2}]}}"
    for text, month in ((growing, 6), (growing.replace("3.0}", f"3.0, events: [{event}]}}"), 3)):
        loaded = written(tmp_path, text)
        loads = loads_of(loaded)
        found = best_threshold(loaded, "t", loads.periods(loads.horizon.asked(month)), Store())
        words = simulate(loaded, tmp_path / "runs").summary["topologies"]["t"]["warnings"]
        assert [one for one in words if f"{found.words} in month {month}" in str(one)]


def test_what_is_said_of_a_threshold_claims_no_more_than_was_found(tmp_path: Path) -> None:
    none, some = ((4, math.inf), (6, math.inf)), ((4, 1000.0), (6, 900.0), (9, math.inf))
    assert Threshold(4, none).words == "overflow at 4 outstanding per replica: none of 2 tried meets the SLO"
    told = "best of 3 tried: 4 $1,000, 6 $900, 9 none for less"
    assert Threshold(6, some).words == f"overflow at 6 outstanding per replica, {told}"
    assert Threshold(6, some, is_finished=False).words == f"overflow at 6 outstanding per replica, not finished, {told}"
    loaded = written(tmp_path, TOGETHER)
    periods = loads_of(loaded).first_month
    assert best_threshold(loaded, "t", periods, Store()).is_finished
    assert not best_threshold(loaded, "t", periods, Store(), Limits(max_trials=1)).is_finished
    never = written(tmp_path, TOGETHER.replace("p90: 0.3", "p90: 0.001"))
    assert "none of" in best_threshold(never, "t", loads_of(never).first_month, Store()).words


def test_an_open_threshold_is_refused_where_nobody_looks_for_it(tmp_path: Path) -> None:
    loaded = written(tmp_path, TEXT)
    assert has_open_threshold(loaded.scenario.topologies["t"])
    with pytest.raises(InputError, match="is open: run, plan and sweep find it") as told:
        plan_topology(loaded, "t")
    assert "routing.when.outstanding_per_replica" in str(told.value)
    event = "{name: more, topology: t, from_month: 2, change: {routing: {when: {outstanding_per_replica: auto}}}}"
    with pytest.raises(InputError, match="auto stands in the topology itself, a number here"):
        written(tmp_path, TEXT.replace("{months: 1}", f"{{months: 3, events: [{event}]}}"))
