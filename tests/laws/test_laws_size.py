"""Laws of the search for sizes: bounds hold, order and names change nothing, twice the load on twice the fleet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario_cases import trials_of

from simulator.resolve.sizes import Fixed, Scaled, alone, open_pools, with_sizes
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.demand import demand_of, whole_month
from simulator.simulate.one import simulate_one, subject_of
from simulator.simulate.priced import usd_of_periods
from simulator.simulate.store import Store
from simulator.size.bounds import least_replicas, least_usd_per_month
from simulator.size.found import Limits, Search
from simulator.size.search import search
from simulator.size.trials import Trials
from simulator.study.contract import Credit, Volume, VolumeStep
from simulator.study.demand import WHOLE_MONTH
from simulator.units import HOURS_PER_MONTH

SIZED = Path(__file__).resolve().parents[2] / "tests/data/scenarios/sized.yaml"
AUTO = (
    "topologies.own.pools[base].replicas=auto",
    "topologies.two.pools[base].replicas=auto",
    "topologies.two.pools[burst].autoscaler=auto",
    "topologies.elastic.pools[rented].autoscaler=auto",
)


def loaded(*sets: str) -> LoadedScenario:
    return load_scenario(SIZED, sets=[*AUTO, *sets])


def found(scenario: LoadedScenario, name: str, limits: Limits | None = None, store: Store | None = None) -> Search:
    store = Store() if store is None else store
    return search(
        Trials(alone(scenario, name), name, open_pools(scenario, name), whole_month(demand_of(scenario)), store), limits
    )


@settings(deadline=None, max_examples=5)
@given(
    rate=st.floats(5, 300),
    replicas=st.integers(1, 4),
    owned=st.booleans(),
    scaled=st.booleans(),
    tail=st.booleans(),
)
def test_no_bill_falls_below_its_bound(rate: float, replicas: int, owned: bool, scaled: bool, tail: bool) -> None:
    sets = [f"workload.classes[chat].arrivals.rate_rps={rate}", "run.replications=1"]
    scenario = loaded(*sets, *(["run.warmup_s=0", "run.drain_s=0"] if tail else []))
    name = "own" if owned else "elastic"
    size = Scaled(replicas, replicas + 2, 8.0) if scaled and not owned else Fixed(replicas)
    scenario = with_sizes(scenario, name, {0: size})
    planned = plan_topology(scenario, name)
    terms, demand, subject = resolve_terms(planned).terms, demand_of(scenario), subject_of(planned)
    (bill,) = usd_of_periods([(WHOLE_MONTH, [simulate_one(subject, demand, 0)])], terms)
    assert 0 < least_usd_per_month(subject, terms, whole_month(demand)) <= bill * (1 + 1e-12)


@pytest.mark.parametrize("down_s", [0.0, 1e9])
@pytest.mark.parametrize("least", [0.0, 0.7, 1.3])
@pytest.mark.parametrize("for_all", [True, False])
def test_no_bill_under_a_contract_falls_below_its_bound(down_s: float, least: float, for_all: bool) -> None:
    """Steps that make more hours cheaper, credits of up to all but a tenth, and a spend above and below the rent."""
    scenario = with_sizes(loaded("run.replications=1", "run.horizon_s=20"), "elastic", {0: Scaled(1, 3, 8.0)})
    planned = plan_topology(scenario, "elastic")
    terms, demand, subject = resolve_terms(planned).terms, demand_of(scenario), subject_of(planned)
    outcome = simulate_one(subject, demand, 0)
    usage = replace(outcome.usage, pools=tuple(replace(pool, zone_down_s=down_s) for pool in outcome.usage.pools))
    (plain,) = usd_of_periods([(WHOLE_MONTH, [outcome])], terms)
    gpu_hours = HOURS_PER_MONTH * outcome.usage.pools[0].gpus_per_replica
    contract = {
        "volume": Volume((VolumeStep(gpu_hours, 0.9), VolumeStep(1.2 * gpu_hours, 0.2)), for_all),
        "credits": (Credit(0.99, 0.3), Credit(0.9, 0.9)),
        "minimum_usd_per_month": least * plain,
    }
    terms = replace(terms, rented=tuple(replace(offer, **contract) for offer in terms.rented))
    (bill,) = usd_of_periods([(WHOLE_MONTH, [replace(outcome, usage=usage)])], terms)
    assert least_usd_per_month(subject, terms, whole_month(demand)) <= bill * (1 + 1e-12)


@pytest.mark.parametrize("classes", ["", ", classes: [chat]"])
def test_no_bill_with_a_fee_by_request_falls_below_its_bound(classes: str) -> None:
    """Nobody comes in the bound: of no class, whichever a fee is for."""
    fees = f"topologies.own.fees=[{{name: guardrail, usd_per_million_requests: 1000{classes}}}]"
    scenario = with_sizes(loaded("run.replications=1", "run.horizon_s=20", fees), "own", {0: Fixed(2)})
    planned = plan_topology(scenario, "own")
    terms, demand, subject = resolve_terms(planned).terms, demand_of(scenario), subject_of(planned)
    (bill,) = usd_of_periods([(WHOLE_MONTH, [simulate_one(subject, demand, 0)])], terms)
    free = least_usd_per_month(subject, replace(terms, fees=()), whole_month(demand))
    assert least_usd_per_month(subject, terms, whole_month(demand)) == pytest.approx(free)
    assert free < bill


@pytest.mark.exhaustive
@settings(deadline=None, max_examples=5)
@given(rate=st.floats(5, 3000), served=st.sampled_from([0.5, 0.9, 0.99]), name=st.sampled_from(["own", "elastic"]))
def test_whatever_meets_has_at_least_the_replicas_of_the_work(rate: float, served: float, name: str) -> None:
    sets = [
        f"workload.classes[chat].arrivals.rate_rps={rate}",
        f"workload.classes[chat].slo={{served: {served}}}",
        "run.horizon_s=20",
        "run.replications=1",
    ]
    scenario = loaded(*sets)
    best = found(scenario, name).best
    assert best is not None
    subject = trials_of(scenario, name)
    sized = subject.sized(best.point).subject
    assert least_replicas(sized, demand_of(scenario), sized.fleet.pools[0].name) <= best.point[0].most


def test_where_replicas_may_be_lost_their_hours_are_not_counted() -> None:
    calm = loaded()
    lost = loaded("topologies.elastic.pools[rented].reliability={mtbf_h: 1}")
    windows = "{windows: [{start_s: 5, duration_s: 20}]}"
    away = loaded(f"topologies.elastic.pools[rented].outages={windows}")
    least = []
    for scenario in (calm, lost, away):
        scenario = with_sizes(scenario, "elastic", {0: Fixed(2)})
        planned = plan_topology(scenario, "elastic")
        terms, periods = resolve_terms(planned).terms, whole_month(demand_of(scenario))
        least.append(least_usd_per_month(subject_of(planned), terms, periods))
    assert least[0] > least[1] == least[2]


def test_pruning_changes_no_answer() -> None:
    scenario, store = loaded(), Store()
    for name in ("own", "elastic"):
        pruned, whole = (found(scenario, name, Limits(prune=prune), store) for prune in (True, False))
        assert pruned.best is not None
        assert whole.best is not None
        assert pruned.best.usd_per_month <= whole.best.usd_per_month
        assert {str(tried) for tried in pruned.by_word("refused")} >= {str(tried) for tried in whole.by_word("refused")}


@pytest.mark.parametrize(
    ("scaler", "size"),
    [("auto", "0 to 1"), ("{min: 0, max: auto, target_per_replica: auto}", "0 to 1")]
    + [(f"{{min: {n}, max: auto, target_per_replica: auto}}", str(n)) for n in (1, 2)]
    + [("{min: 2, max: auto, target_per_replica: 20}", "2 to 2 at 20")],
)
def test_nobody_at_night_is_served_by_nothing_unless_a_minimum_is_written(scaler: str, size: str) -> None:
    """Requests in two hours of four. A replica that is there from the first of them to 300 s after the last is paid for
    7,500 of 14,400 s; a minute of cold start is 0.8 % of the requests."""
    pool = "topologies.elastic.pools[rented]"
    sets = [
        f"workload.classes[chat].arrivals={{kind: schedule, rate_rps: 0.5, hourly: {[0, 1, 1] + [0] * 21}}}",
        "workload.classes[chat].slo={ttft_s: {p95: 1.0}}",
        "run.horizon_s=14400",
        "run.warmup_s=0",
        "run.replications=1",
        f"{pool}.price_usd_per_gpu_hour=4",
        f"{pool}.cold_start={{provision_s: 60, image_s: 0, weights_s: 0, engine_s: 0}}",
        f"{pool}.autoscaler={scaler}",
    ]
    scenario = load_scenario(SIZED, sets=sets)
    best = found(scenario, "elastic").best
    assert best is not None
    assert str(best).startswith(size)
    paid_s = 7500 if size.startswith("0") else 14400 * int(size[0])
    assert best.usd_per_month / (4 * HOURS_PER_MONTH) * 14400 == pytest.approx(paid_s, abs=60.0)


@pytest.mark.exhaustive
def test_order_and_names_of_topologies_change_nothing(tmp_path: Path) -> None:
    scenario = loaded()
    names = list(scenario.scenario.topologies)
    forth = simulate(scenario, tmp_path).summary
    turned = {name: scenario.scenario.topologies[name] for name in names[::-1]}
    turned["copy"] = turned["own"]
    other = replace(scenario, scenario=scenario.scenario.model_copy(update={"topologies": turned}))
    back = simulate(other, tmp_path).summary

    def bill(summary: dict[str, Any], name: str) -> tuple[Any, ...]:
        found = summary["topologies"][name]
        return found["search"], found["cost"]["usd_per_month"], found["metrics"]["slo_attainment"], found["fleet"]

    for name in names:
        assert bill(forth, name) == bill(back, name)
    assert bill(back, "copy") == bill(back, "own")


def test_twice_the_traffic_on_twice_the_fleet_costs_twice(tmp_path: Path) -> None:
    pool = "topologies.elastic.pools[rented]"
    sets = [f"{pool}.autoscaler=null", f"{pool}.price_usd_per_gpu_hour=4"]
    bills = []
    for factor in (1, 2):
        rate = [f"workload.classes[chat].arrivals.rate_rps={75 * factor}"]
        size = [f"{pool}.replicas={2 * factor}"]
        scenario = load_scenario(SIZED, sets=[*sets, *rate, *size])
        summary = simulate(scenario, tmp_path).summary["topologies"]["elastic"]
        bills.append(summary["cost"]["usd_per_month"])
    assert bills[1] == pytest.approx(2 * bills[0], rel=1e-9)


@pytest.mark.exhaustive
def test_a_limit_of_trials_leaves_a_gap_that_holds_the_truth() -> None:
    scenario = loaded("workload.classes[chat].arrivals.rate_rps=300")
    whole = found(scenario, "elastic")
    assert whole.best is not None
    assert whole.gap_usd == 0.0
    for most in (1, 3, 6, 10):
        cut = found(scenario, "elastic", Limits(max_trials=most))
        if cut.best is not None:
            assert cut.best.usd_per_month - cut.gap_usd <= whole.best.usd_per_month
        assert cut.claim == "not finished" or str(cut.best) == str(whole.best)


def test_equal_limits_give_equal_trails() -> None:
    scenario = loaded()
    first, second = (found(scenario, "two", Limits(max_trials=6)) for _ in range(2))
    assert [(str(tried), tried.word, tried.usd) for tried in first.trail] == [
        (str(tried), tried.word, tried.usd) for tried in second.trail
    ]


def test_where_replicas_may_be_lost_nothing_is_proved_and_the_search_ends() -> None:
    """With a start that is over before the next failure: one of minutes never is, at no size."""
    often = "topologies.elastic.pools[rented].reliability={mtbf_h: 0.01, mttr_h: 0.001}"
    soon = "topologies.elastic.pools[rented].cold_start={provision_s: 2, image_s: 0, weights_s: 0, engine_s: 1}"
    scenario = load_scenario(
        SIZED,
        sets=[
            "topologies.elastic.pools[rented].autoscaler=null",
            "topologies.elastic.pools[rented].replicas=auto",
            "topologies.elastic.pools[rented].failures=true",
            often,
            soon,
            "run.horizon_s=20",
        ],
    )
    ended = found(scenario, "elastic")
    assert ended.best is not None
    assert ended.claim.startswith("best of ")
    assert ended.tried < 16
