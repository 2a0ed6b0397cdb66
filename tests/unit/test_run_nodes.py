"""Months are sized from the months before: the same sizes as from scratch, by far fewer trials."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from parts import few
from scenario_cases import chat, written

from simulator.decide.levels import nodes
from simulator.resolve.topology import plan_topology
from simulator.run.evaluate import evaluate
from simulator.run.loads import loads_of
from simulator.run.months import served
from simulator.run.phases import walk_study
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.size.answer import Answer, answer, sized_scenario
from simulator.size.found import Search
from simulator.study.decision import Walked

RENTED = "t: {pools: [{name: base, site: lambda, gpu: h100-sxm, replicas: auto}]}"
OWNED = "t: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}]}"
SCALED = "t: {pools: [{name: base, site: lambda, gpu: h100-sxm, autoscaler: auto}]}"
BOTH = (
    "t: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}, "
    "{name: burst, site: lambda, gpu: h100-sxm, replicas: auto}], "
    "routing: {kind: overflow, when: {outstanding_per_replica: 40}}}"
)
GROWS = "months: 12, growth_per_year: 3.0"
FALLS = "months: 12, growth_per_year: -0.6"


def walked(loaded: LoadedScenario, store: Store) -> tuple[Answer, tuple[Walked, ...]]:
    loads, sizer = loads_of(loaded), Sizer(store)
    found = sizer.answer(loaded, "t", loads)
    assert found is not None
    planned, demand = plan_topology(sized_scenario(loaded, [found]), "t"), loads.shown.demand
    base = served([stored_outcome(subject_of(planned), demand, k, store) for k in range(demand.replications)], demand)
    return found, walk_study(loaded, loads, planned, base, sizer, found).months


def at_nodes(loaded: LoadedScenario, months: tuple[Walked, ...]) -> list[Walked]:
    horizon = loads_of(loaded).horizon
    return [months[k] for k in nodes([horizon.level(month) for month in horizon.numbers])]


@pytest.mark.parametrize(
    ("topology", "study", "rate_rps"),
    few([(RENTED, GROWS, 20), (RENTED, FALLS, 60), (OWNED, FALLS, 60)], (OWNED, FALLS, 60)),
)
def test_one_number_is_that_of_a_search_from_scratch(
    tmp_path: Path, topology: str, study: str, rate_rps: float
) -> None:
    loaded, store = written(tmp_path, chat(topology, study=study, rate_rps=rate_rps, horizon_s=10, warmup_s=2)), Store()
    _, months = walked(loaded, store)
    loads, most = loads_of(loaded), 0
    seen = set()
    for month in at_nodes(loaded, months):
        best = answer(loaded, "t", loads.periods(loads.horizon.asked(month.month)), store).search.best
        assert best is not None
        needed = best.point[0].most
        most = max(most, needed) if topology == OWNED else needed
        assert month.sizes == (most,)
        assert month.meets
        seen.add(needed)
    assert len(seen) > 1


@pytest.mark.parametrize("topology", [SCALED, BOTH])
def test_what_still_meets_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, topology: str) -> None:
    searched: list[Any] = []
    real = import_module("simulator.run.growth").searched

    def counted(*rest: Any, **more: Any) -> Search:
        found: Search = real(*rest, **more)
        searched.append(found)
        return found

    monkeypatch.setattr(import_module("simulator.run.growth"), "searched", counted)
    loaded = written(tmp_path, chat(topology, study=GROWS, rate_rps=20, horizon_s=30))
    _, months = walked(loaded, Store())
    own = at_nodes(loaded, months)
    assert all(month.meets for month in own)
    assert 0 < len(searched) < len(own) - 1
    owned = [month.sizes[0] for month in months]
    assert topology == SCALED or owned == sorted(owned)


def test_where_nothing_meets_no_later_month_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("searched again")

    monkeypatch.setattr(import_module("simulator.run.growth"), "searched", never)
    text = chat(RENTED, study=GROWS, rate_rps=1, horizon_s=20, tpot_s=0.001)
    found = evaluate(written(tmp_path, text), "t")
    assert not found.slo_met
