"""A what-if: the busiest time of a run with the run's own requests, and other prices by the run's own ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scenario_cases import chat, written

from simulator.decide.rivals import rank
from simulator.errors import InputError
from simulator.resolve.horizon import horizon_of
from simulator.resolve.topology import plan_topology
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.evaluate import served_course
from simulator.run.excerpt import LEAD_S, Excerpt, excerpt_demand, excerpt_of
from simulator.run.loads import Loads
from simulator.run.simulate import simulate
from simulator.run.sizer import Sizer
from simulator.run.what_if import only_prices_differ, repriced, served_in, stays_alike, words_of
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of
from simulator.simulate.store import Store

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
RUSH = (
    "workload.classes[chat].arrivals={{kind: schedule, rate_rps: {}, "
    "spikes: [{{start_s: 3000, duration_s: 300, factor: 20}}]}}"
)
LATER = ("run.horizon_s=6000", "topologies[own].pools[base].outages={windows: [{start_s: 3050, duration_s: 60}]}")
LONG = (RUSH.format(2), *LATER)
HALF = "topologies[api].providers[together].price_scale=0.5"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(simulate(load_scenario(SCENARIO), tmp_path_factory.mktemp("runs")).bundle)


def resolved(bundle: Bundle, *sets: str) -> LoadedScenario:
    return load_scenario(bundle.path / "scenario.resolved.yaml", sets=sets)


def arrivals(loaded: LoadedScenario, excerpt: Excerpt) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    demand = excerpt_demand(loaded, excerpt)
    found = np.concatenate([chunk.arrival_s[: chunk.n_open] for chunk in demand.source(0).chunks()]) + demand.start_s
    return found[(found >= excerpt.start_s) & (found < excerpt.end_s)]


def test_the_peak_is_in_the_excerpt_and_its_requests_are_those_of_the_run() -> None:
    loaded = load_scenario(SCENARIO, sets=LONG)
    excerpt = excerpt_of(loaded, 60_000)
    assert excerpt.replications == 1
    assert excerpt.start_s <= 3000 < 3300 <= excerpt.end_s < 6000
    whole = np.concatenate([chunk.arrival_s[: chunk.n_open] for chunk in demand_of(loaded).source(0).chunks()])
    inside = whole[(whole >= excerpt.start_s) & (whole < excerpt.end_s)]
    assert arrivals(loaded, excerpt) == pytest.approx(inside)
    assert 3 * len(inside) <= 60_000
    assert 3 * len(inside) > 0.8 * 60_000


def test_a_changed_scenario_is_served_over_the_same_time_and_outages_come_when_they_came() -> None:
    loaded = load_scenario(SCENARIO, sets=LONG)
    excerpt = excerpt_of(loaded, 40_000)
    more = load_scenario(SCENARIO, sets=[RUSH.format(4), *LATER])
    plain, changed = excerpt_demand(loaded, excerpt), excerpt_demand(more, excerpt)
    assert (plain.start_s, plain.warmup_s, plain.horizon_s) == (changed.start_s, changed.warmup_s, changed.horizon_s)
    assert plain.start_s == excerpt.start_s - LEAD_S
    assert plain.when.clock_s == demand_of(loaded).when.clock_s + plain.start_s
    assert len(arrivals(more, excerpt)) == pytest.approx(2 * len(arrivals(loaded, excerpt)), rel=0.05)
    usage = simulate_one(subject_of(plan_topology(loaded, "own")), plain, 0).usage.pools[0]
    assert (usage.outages, usage.zone_down_s) == (1, pytest.approx(60.0))


def test_outages_come_when_they_came_in_the_months_after_an_event_too() -> None:
    """An event that changes nothing changes no month: each has the minute without service."""
    event = "{name: none, from_month: 2, topology: own, change: {pools: [{name: base, gpu: h100-sxm}]}}"
    loaded = load_scenario(SCENARIO, sets=[*LONG, f"study={{months: 2, events: [{event}]}}"])
    excerpt = excerpt_of(loaded, 60_000)
    assert not excerpt.has_all_time
    loads = Loads(horizon_of(loaded), excerpt_demand(loaded, excerpt))
    first, second = served_course(loaded, loads, plan_topology(loaded, "own"), Sizer(Store())).journey.months
    for month in (first, second):
        (usage,) = month.shares[0].served.usages
        assert usage.pools[0].zone_down_s == pytest.approx(60.0)
    assert (second.attainment, second.meets) == (first.attainment, first.meets)


def test_windows_of_a_long_run_have_the_failures_of_their_own_time() -> None:
    """Failures are at times of the run: a window that begins later has those of its hours, and no others."""
    failures = (
        "topologies[own].pools[base].server_failures=[{start_s: 100, duration_s: 50}, {start_s: 700, duration_s: 40}]"
    )
    loaded = load_scenario(SCENARIO, sets=["run.horizon_s=900", failures])
    subject, whole = subject_of(plan_topology(loaded, "own")), demand_of(loaded)
    parts = [
        replace(whole, start_s=start_s, warmup_s=0.0, horizon_s=300.0, _drawn={}) for start_s in (0.0, 300.0, 600.0)
    ]
    assert [simulate_one(subject, part, 0).usage.pools[0].failures for part in parts] == [1, 0, 1]


def test_what_leaves_time_out_is_not_known_and_never_meets() -> None:
    loaded = load_scenario(SCENARIO, sets=LONG)
    excerpt = excerpt_of(loaded, 1_000)
    found = served_in(loaded, excerpt, Store())
    words = words_of(found, excerpt)
    assert words.startswith("Not known: only the busiest 2 min of 100 min")
    assert "meets" not in words
    assert "api kept the SLO" in words


def test_an_excerpt_that_is_the_run_gives_the_run_and_its_verdict(bundle: Bundle) -> None:
    loaded = resolved(bundle)
    excerpt = excerpt_of(loaded, 1e6)
    assert excerpt.is_whole
    found = served_in(loaded, excerpt, Store())
    for name, summary in bundle.summary["topologies"].items():
        for metric in ("slo_attainment", "goodput_rps", "arrived"):
            assert found[name]["metrics"][metric] == summary["metrics"][metric]
        assert found[name]["cost"]["usd_per_month"] == summary["cost"]["usd_per_month"]
        felt = found[name]["over_time"]
        assert felt.keys() >= {"waiting", "waiting_low", "waiting_high"}, "both replications"
    assert bundle.decision["verdict"].startswith(words_of(found, excerpt).rstrip(".").partition(";")[0])


def test_a_change_over_all_hours_says_what_the_full_run_says(bundle: Bundle, tmp_path: Path) -> None:
    """An engine of four requests at a time under a load that needs many; the others go on."""
    sets = ["workload.classes[chat].arrivals.rate_rps=60", "topologies[own].pools[base].engine={max_num_seqs: 4}"]
    excerpt = excerpt_of(resolved(bundle), 1e6)
    found = served_in(resolved(bundle, *sets), excerpt, Store())
    full = simulate(load_scenario(SCENARIO, sets=sets), tmp_path).summary["topologies"]
    for name, summary in full.items():
        assert found[name]["metrics"]["slo_met"] == summary["metrics"]["slo_met"]
        assert found[name]["metrics"]["slo_attainment"] == summary["metrics"]["slo_attainment"]
    met = {name: summary["metrics"]["slo_met"] for name, summary in full.items()}
    assert met == {"own": False, "cloud": True, "api": True}


def test_prices_alone_are_billed_by_the_run_s_own_use(bundle: Bundle, tmp_path: Path) -> None:
    plain, changed = resolved(bundle), resolved(bundle, HALF)
    assert stays_alike(bundle.decision)
    assert only_prices_differ(plain, changed)
    same = repriced(plain, bundle)
    for name, summary in bundle.summary["topologies"].items():
        assert same[name].contender.usd_per_month == summary["cost"]["usd_per_month"]
        each = [one["usd_per_month"] for one in summary["replications"]]
        assert same[name].contender.usd_by_replication == pytest.approx(each)
    full = simulate(load_scenario(SCENARIO, sets=[HALF]), tmp_path).summary["topologies"]
    for name, one in repriced(changed, bundle).items():
        assert one.contender.usd_per_month == pytest.approx(full[name]["cost"]["usd_per_month"])
        assert sum(one.usd_by_category.values()) == pytest.approx(one.contender.usd_per_month)


def test_the_same_fleet_at_another_price_is_another_one(tmp_path: Path) -> None:
    api = "{{name: {0}, offer: together/llama-3.3-70b, price_scale: {1}, requests_per_minute: 0, tokens_per_minute: 0}}"
    text = chat(
        *(f"{name}: {{providers: [{api.format('api', 1)}]}}" for name in ("first", "second")),
        study="months: 1",
        rate_rps=2,
        horizon_s=10,
        warmup_s=0,
    )
    loaded = written(tmp_path, text)
    bundle = read_bundle(simulate(loaded, tmp_path / "out").bundle)
    cheaper = written(tmp_path, text, "topologies[second].providers[api].price_scale=0.5")
    same, apart = (rank([one.contender for one in repriced(each, bundle).values()]) for each in (loaded, cheaper))
    assert same.same
    assert not apart.same
    assert list(apart.winners) == ["second"]


@pytest.mark.parametrize(
    "change",
    [
        "workload.classes[chat].arrivals.rate_rps=4.4",
        "workload.classes[chat].slo.ttft_s.p99=1.4",
        "topologies[own].pools[base].replicas=2",
        "study.growth_per_year=0.1",
        "run.seed=4",
    ],
)
def test_whatever_else_changes_is_simulated(bundle: Bundle, change: str) -> None:
    assert not only_prices_differ(resolved(bundle), resolved(bundle, change))


def test_a_study_of_windows_of_the_run_is_refused() -> None:
    loaded = load_scenario(SCENARIO, sets=["run.horizon_s=86400", "study.cut={window_h: 1, kinds: 2}"])
    with pytest.raises(InputError, match="run it in full"):
        excerpt_of(loaded, 1e6)
