"""Each month of a study that grows is as cheap as a search of that month alone finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from priced_cases import costed
from scenario_cases import chat, written

from simulator.decide.costed import months
from simulator.resolve.offers import catalog_offer
from simulator.resolve.sizes import Fixed, OpenPool, Scaled, Size
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.growth import NEAR, AtLevel, Growth
from simulator.run.loads import loads_of
from simulator.run.months import served
from simulator.run.phases import walk_study
from simulator.run.simulate import simulate
from simulator.run.sizer import Sizer
from simulator.scenario.load import LoadedScenario
from simulator.simulate.one import subject_of
from simulator.simulate.store import Store
from simulator.simulate.stored import stored_outcome
from simulator.size.answer import answer, sized_scenario
from simulator.size.found import Limits
from simulator.size.trials import Tried
from simulator.study.demand import MonthLoad

QUICK = "{provision_s: 5, image_s: 0, weights_s: 0, engine_s: 0}"
SCALED = (
    "t: {pools: [{name: base, site: lambda, gpu: h100-sxm, cold_start: " + QUICK + ", "
    "autoscaler: {min: auto, max: auto, target_per_replica: auto, period_s: 5, down_window_s: 20}}]}"
)
INSTEAD = (
    "t: {pools: [{name: gpus, site: lambda, gpu: h100-sxm, replicas: auto}], "
    "providers: [{name: api, offer: openai/gpt-4o-mini}], "
    "routing: {kind: overflow, order: [gpus, api], when: {outstanding_per_replica: 60}}}"
)
SURGES = (
    "workload.classes[chat].arrivals={kind: schedule, rate_rps: 25, spikes: ["
    "{start_s: 100, duration_s: 60, factor: 2.5}, {start_s: 220, duration_s: 30, factor: 3.5}]}"
)
LIMITS = "workload.classes[chat].slo={ttft_s: {p99: 3.0}, tpot_s: {p95: 0.05}}"


def last_month_usd(loaded: LoadedScenario) -> tuple[float, float]:
    """As the study bills it, and as a search of this month alone finds it."""
    store, loads = Store(), loads_of(loaded)
    sizer = Sizer(store)
    found = sizer.answer(loaded, "t", loads)
    assert found is not None
    planned, demand = plan_topology(sized_scenario(loaded, [found]), "t"), loads.shown.demand
    base = served([stored_outcome(subject_of(planned), demand, 0, store)], demand)
    journey = walk_study(loaded, loads, planned, base, sizer, found)
    terms = resolve_terms(planned, journey.spells if len(journey.spells) > 1 else ()).terms
    assert all(month.meets for month in journey.months)
    best = answer(loaded, "t", loads.periods(loads.horizon.asked(journey.months[-1].month)), store).search.best
    assert best is not None
    return float(months(costed("t", terms, journey.months))[-1].usd), best.usd_per_month


@pytest.mark.parametrize(
    ("topology", "sets", "study"),
    [
        pytest.param(
            SCALED,
            [SURGES, LIMITS, "run.horizon_s=300"],
            "months: 5, growth_per_year: 2.0",
            id="settings of an autoscaler",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            INSTEAD,
            [LIMITS.replace("0.05", "0.1")],
            "months: 2, load_steps: [{from_month: 2, load: 6}]",
            id="replicas instead of a token API",
        ),
    ],
)
def test_a_month_costs_no_more_than_a_search_of_it(tmp_path: Path, topology: str, sets: list[str], study: str) -> None:
    text = chat(topology, study=study, rate_rps=2, horizon_s=40)
    usd, alone = last_month_usd(written(tmp_path, text, *sets))
    assert usd <= alone * (1 + NEAR)


@pytest.mark.exhaustive
def test_a_written_autoscaler_stays_on_its_instances_beside_a_pool_that_grows(tmp_path: Path) -> None:
    """Seven replicas are 7 x 4.29 = $30.03 an hour on single GPUs; one instance of eight, taken unseen, is $31.92."""
    topology = (
        "t: {pools: [{name: base, site: lambda, gpu: h100-sxm, replicas: auto}, {name: steady, site: lambda, "
        "gpu: h100-sxm, autoscaler: {kind: queue, min: 7, max: 8, target_per_replica: 500}}], "
        "routing: {kind: weighted, weights: {base: 30, steady: 1}}}"
    )
    study = "months: 2, load_steps: [{from_month: 2, load: 8}]"
    loaded = written(tmp_path, chat(topology, study=study, rate_rps=40, horizon_s=20, tpot_s=0.008))
    loads, sizer = loads_of(loaded), Sizer(Store())
    found = sizer.answer(loaded, "t", loads)
    planned, demand = plan_topology(sizer.sized(loaded, "t", loads, found), "t"), loads.shown.demand
    base = served([stored_outcome(subject_of(planned), demand, 0, sizer.store)], demand)
    spells = walk_study(loaded, loads, planned, base, sizer, found).spells
    pools = [{pool.name: pool for pool in spell.planned.settings.pools} for spell in spells]
    assert ["base" in here for here in pools] == [False, True]
    steady = [catalog_offer(here["steady"], "on_demand") for here in pools]
    assert [offer and offer.gpus_per_instance for offer in steady] == [1] * len(pools)


@pytest.mark.parametrize("load", [1, 8])
def test_a_month_that_no_allowed_size_serves_names_the_limit_and_how_to_raise_it(tmp_path: Path, load: int) -> None:
    """In a later month as in the first, and in the months after it that nobody searched."""
    topology = "t: {pools: [{name: base, site: lambda, gpu: h100-sxm, replicas: auto}]}"
    study = f"months: 6, load_steps: [{{from_month: 3, load: {load}}}, {{from_month: 5, load: {2 * load}}}]"
    loaded = written(tmp_path, chat(topology, study=study, rate_rps=30 / load, horizon_s=40, tpot_s=0.008))
    loads, sizer = loads_of(loaded), Sizer(Store(), Limits(max_replicas=1))
    found = sizer.answer(loaded, "t", loads)
    assert found is not None
    planned, demand = plan_topology(sized_scenario(loaded, [found]), "t"), loads.shown.demand
    base = served([stored_outcome(subject_of(planned), demand, 0, sizer.store)], demand)
    months = walk_study(loaded, loads, planned, base, sizer, found).months
    assert [month.meets for month in months] == [load > 1] * 2 + [False] * 4
    missed = [month.binding for month in months if not month.meets]
    assert all(text.startswith("no size meets the SLO (with at most 1 replica: chat: tpot") for text in missed)
    assert all("--max-replicas 1 may be raised" in text for text in missed)


@pytest.mark.parametrize(("growth", "month"), [(0.0, 0), (1.0, 1)])
def test_a_capacity_that_is_of_the_first_month_says_so(tmp_path: Path, growth: float, month: int) -> None:
    topology = "t: {pools: [{name: base, site: lambda, gpu: h100-sxm, replicas: 2}]}"
    text = chat(topology, study=f"months: 2, growth_per_year: {growth}", rate_rps=2, horizon_s=10, warmup_s=1)
    found = simulate(written(tmp_path, text), tmp_path / "out", advise=True)
    assert found.decision["topologies"]["t"]["capacity"]["month"] == month


FEW, FIVE = Scaled(1, 5, 3.0), Fixed(5)
OTHER, ONE_FEWER, NONE_LEFT = Scaled(2, 5, 2.0), Scaled(1, 5, 2.0), Scaled(0, 5, 3.0)


@pytest.mark.parametrize(
    ("lighter", "heavier", "here", "found"),
    [
        pytest.param((FIVE, 184.0), (FEW, 127.0), {FIVE: 184.0, FEW: 108.0}, (FEW, 108.0), id="heavier one is cheaper"),
        pytest.param((OTHER, 127.5), (FEW, 127.0), {OTHER: 127.6, FEW: 108.0}, (FEW, 108.0), id="either may cost less"),
        pytest.param((OTHER, 127.5), (FEW, 127.0), {OTHER: 126.0, FEW: 140.0}, (OTHER, 126.0), id="the lighter's"),
        pytest.param(
            *((OTHER, 127.5), (FEW, 127.0), {OTHER: 127.6, ONE_FEWER: 120.0}, (ONE_FEWER, 120.0)),
            id="one fewer at least",
        ),
        pytest.param(
            (FEW, 127.5), (FIVE, 184.0), {FEW: 127.6, NONE_LEFT: 90.0}, (FEW, 127.6), id="no fewer than may be"
        ),
        pytest.param((FIVE, 184.0), (FEW, 127.0), {FIVE: 184.0}, None, id="a search, as the heavier load costs less"),
        pytest.param((FIVE, 184.0), (Fixed(6), 220.0), {FIVE: 184.0}, (FIVE, 184.0), id="no less than the lighter"),
    ],
)
def test_a_month_between_others_takes_the_cheaper_of_their_settings_or_is_searched(
    lighter: tuple[Size, float],
    heavier: tuple[Size, float],
    here: dict[Size, float],
    found: tuple[Size, float] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What serves more for less says that the best of fewer requests is no bound, whatever chance it came from."""

    class Trial:
        pools = (OpenPool(0, "p", 1, 1, owned=False, scaler=(None, None, 1.0)),)

        def __call__(self, point: tuple[Size]) -> Tried:
            usd = here.get(point[0])
            return Tried(point, "refused") if usd is None else Tried(point, "met", (usd,))

    def level(load: float, best: tuple[Size, float]) -> AtLevel:
        return AtLevel(MonthLoad((load,)), Tried((best[0],), "met", (best[1],)), best[1], ())

    class Searched(Exception):
        pass

    def searched(*_: object, **__: object) -> None:
        raise Searched

    monkeypatch.setattr(Growth, "_trials", lambda *_: Trial())
    monkeypatch.setattr("simulator.run.growth.searched", searched)
    nothing: Any = None
    growth = Growth(nothing, "t", nothing, nothing, [level(1.0, lighter), level(2.0, heavier)])
    if found is None:
        with pytest.raises(Searched):
            growth._at(MonthLoad((1.5,)), (), (0,), Trial.pools)
        return
    best = growth._at(MonthLoad((1.5,)), (), (0,), Trial.pools).best
    assert best is not None
    assert (best.point, best.usd_per_month) == ((found[0],), found[1])


def test_a_search_of_a_month_begins_with_the_settings_of_the_nearest_other_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Four of them, each once, nearest first; fixed numbers are found by themselves."""

    class Trial:
        pools = (OpenPool(0, "p", 1, 1, owned=False, scaler=(None, None, 1.0)),)

        def __call__(self, point: tuple[Size]) -> Tried:
            return Tried(point, "refused")

    begun: list[Any] = []

    def searched(*_: object, first: Any, **__: object) -> None:
        begun.extend(point for (point,) in first)
        raise InterruptedError

    loads = {2.0: Scaled(1, 2, 2.0), 1.6: Fixed(4), 1.4: Scaled(1, 4, 2.0), 1.3: Scaled(1, 5, 2.0)}
    more = {1.2: Scaled(1, 4, 2.0), 1.1: Scaled(0, 3, 2.0), 1.0: Scaled(0, 2, 2.0), 0.9: Scaled(0, 9, 2.0)}
    nothing: Any = None
    found = [
        AtLevel(MonthLoad((load,)), Tried((size,), "met", (100.0,)), 100.0, ()) for load, size in (loads | more).items()
    ]
    monkeypatch.setattr(Growth, "_trials", lambda *_: Trial())
    monkeypatch.setattr("simulator.run.growth.searched", searched)
    monkeypatch.setattr("simulator.run.growth._between", lambda *_: ())
    with pytest.raises(InterruptedError):
        Growth(nothing, "t", nothing, nothing, found)._at(MonthLoad((1.5,)), (), (0,), Trial.pools)
    assert begun == [Scaled(1, 4, 2.0), Scaled(1, 5, 2.0), Scaled(0, 3, 2.0), Scaled(1, 2, 2.0)]
