"""Months that hardly keep the SLO: which of them fresh traffic was asked of is said exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scenario_cases import chat, written

from simulator.resolve.topology import plan_topology
from simulator.run.fresh import Nearest, fresh_words, later_edge
from simulator.run.months import Journey, served
from simulator.run.simulate import simulate
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of
from simulator.study.decision import HOLDS_ON_FRESH, MISSES_ON_FRESH, Walked
from simulator.study.demand import WHOLE_MONTH

OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}"
NOT_TRIED = ": some level of the SLO is kept by less than two standard errors, unlike in month 1 without a trial on"


def month(number: int, load: float, near: bool = True, meets: bool = True, event: str = "") -> Walked:
    share: Any = SimpleNamespace(period=WHOLE_MONTH, served=SimpleNamespace(is_near=near))
    return Walked(number, (load,), (1,), meets, 1.0, "", (share,), event)


def told(*months: Walked, nearest: Nearest | None = None, **edges: str) -> list[str]:
    return fresh_words(
        Journey(months, (), edges={int(key.removeprefix("m")): edge for key, edge in edges.items()}), nearest
    )


def test_months_under_the_load_of_the_first_are_tried_with_it() -> None:
    assert not told(month(1, 1.0), month(2, 1.0), month(3, 1.0))


def test_months_that_grow_are_named_where_they_hardly_keep_the_slo() -> None:
    months = [month(1, 1.0), month(2, 1.1), month(3, 1.2), month(4, 1.3, near=False), month(5, 1.4, meets=False)]
    (words,) = told(*months, month(6, 1.5))
    assert words.startswith(f"months 2 to 3, 6{NOT_TRIED}")
    assert not told(*[replace(one, meets=False) for one in months])


@pytest.mark.parametrize(
    ("edge", "said"), [(MISSES_ON_FRESH, [f"from month 3: {MISSES_ON_FRESH}"]), (HOLDS_ON_FRESH, []), ("", [])]
)
def test_what_fresh_traffic_says_at_an_event_is_told(edge: str, said: list[str]) -> None:
    """The month of the event is tried, one of the same load before it too; the next load is not."""
    months = [month(1, 1.0), month(2, 1.0), month(3, 1.0, event="gpu"), month(4, 1.0)]
    assert told(*months, m3=edge) == said
    *first, words = told(*months, month(5, 1.1), m3=edge)
    assert first == said
    assert words.startswith(f"month 5{NOT_TRIED}")


def test_after_an_event_that_leaves_sizes_as_written_nothing_was_tried() -> None:
    (words,) = told(month(1, 1.0), month(2, 1.0), month(3, 1.0, event="prices"), month(4, 1.0))
    assert words.startswith(f"months 3 to 4{NOT_TRIED}")


def test_the_month_that_is_tried_is_not_named_as_one_that_is_not() -> None:
    """Nor are those of the same load; what it says is told of it, and beside others where it misses."""
    months = [month(1, 1.0), month(2, 1.1), month(3, 1.2), month(4, 1.2)]
    said = told(*months, nearest=Nearest(4, MISSES_ON_FRESH))
    assert said[0] == "in month 4, of the later ones the nearest to the edge: misses on fresh traffic"
    assert said[1].startswith(
        "month 2: some level of the SLO is kept by less than two standard errors, unlike in months 1"
    )
    assert told(*months[::3], nearest=Nearest(4, HOLDS_ON_FRESH)) == [
        "in month 4, of the later ones the nearest to the edge: holds on fresh traffic"
    ]


@pytest.mark.parametrize(
    ("edge", "events", "said"),
    [
        (MISSES_ON_FRESH, {}, "at the edge in month 6: misses on fresh traffic"),
        (HOLDS_ON_FRESH, {}, ""),
        (HOLDS_ON_FRESH, {3: HOLDS_ON_FRESH}, ""),
        (
            MISSES_ON_FRESH,
            {3: f"{MISSES_ON_FRESH} (next size 4 for $9)"},
            "at the edge from month 3: misses on fresh traffic",
        ),
    ],
)
def test_what_is_said_of_a_later_month_beside_others(edge: str, events: dict[int, str], said: str) -> None:
    journey = Journey((month(1, 1.0),), (), edges=events)
    assert later_edge(journey, Nearest(6, edge)) == said
    assert later_edge(Journey((month(1, 1.0),), ()), None) == ""


@pytest.mark.parametrize(("replicas", "seed", "tpot_s", "holds"), [("1", 1, 0.0096, False), ("auto", 5, 0.0102, True)])
def test_the_last_month_that_a_fleet_serves_is_asked_of_traffic_that_nobody_saw(
    tmp_path: Path, replicas: str, seed: int, tpot_s: float, holds: bool
) -> None:
    """By hand: the replication after the run's own, under the load of that month, on the fleet of that month."""
    pool = f"{{name: r, site: lambda, gpu: h100-sxm, replicas: {replicas}}}"
    text = chat(
        *(f"t: {{pools: [{pool}]}}",),
        study="months: 2, load_steps: [{from_month: 2, load: 2}]",
        rate_rps=8,
        tpot_s=tpot_s,
        horizon_s=30,
    )
    run = simulate(written(tmp_path, text, f"run.seed={seed}"), tmp_path / "runs", advise=True)
    texts = [one["text"] for one in run.summary["topologies"]["t"]["warnings"]]
    word = "holds" if holds else "misses"
    assert f"in month 2, of the later ones the nearest to the edge: {word} on fresh traffic" in texts
    assert ("; t is at the edge in month 2: misses on fresh traffic" in run.summary["verdict"]) == (not holds)
    sets = [f"run.seed={seed}", "study={months: 1}", "run.replications=2", "topologies.t.pools[r].replicas=1"]
    later = written(tmp_path, text, *sets, "workload.classes[chat].arrivals.rate_rps=16")
    first, fresh = simulate(later, tmp_path / "runs").summary["topologies"]["t"]["replications"]
    assert first["slo_attainment"] >= 0.95
    assert (fresh["slo_attainment"] >= 0.95) == holds


@pytest.mark.parametrize(
    ("quantile", "near", "meets"), [("p50", False, True), ("p90", True, True), ("p99", False, False)]
)
def test_what_is_served_is_near_where_a_term_has_little_to_spare(
    tmp_path: Path, quantile: str, near: bool, meets: bool
) -> None:
    """Some 92 in a hundred of 744 requests keep a limit, ± 1.1: far from half, near nine in ten, below 99 %."""
    slo = f"workload.classes[chat].slo={{ttft_s: {{{quantile}: 0.051}}, served: 0.5}}"
    loaded = written(tmp_path, chat(OWN, study="months: 1", rate_rps=15), slo, "engine.endpoint=completions")
    found = served([simulate_one(subject_of(plan_topology(loaded, "own")), demand_of(loaded), 0)], demand_of(loaded))
    assert 0.91 < found.attainment < 0.922
    assert (found.is_near, found.meets) == (near, meets)
