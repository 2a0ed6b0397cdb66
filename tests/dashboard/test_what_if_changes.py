"""What the sliders change: assignments that a scenario takes, and that change nothing but what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from dashboard.changes import Change, as_events_write, assignments, changed_text, electricity_usd_per_kwh
from dashboard.faults import Fault, possible_faults
from dashboard.views.what_if import _electricity_words, _lacked_words
from simulator.catalog.tokens import token_offer
from simulator.cli.traces import traces
from simulator.questions.write import scenario_text
from simulator.resolve.demand import request_source
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.results.bundle import Bundle
from simulator.run.excerpt import peak_tokens_per_s
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.workload.windows import load_by_window

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/small.yaml"
DASHBOARD = SCENARIO.with_name("dashboard.yaml")
EVERYTHING = Change(2.0, 1, 0.5, 0.5, 0.5, 0.2, 1.5, 0.1, Fault("place", "datacentre", 10.0, 5.0))


def test_nothing_moved_changes_nothing() -> None:
    assert assignments(load_scenario(SCENARIO), Change()) == []


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_prices_are_those_of_the_scenario_times_the_factor(factor: float) -> None:
    plain = load_scenario(SCENARIO)
    change = replace(Change(), rent=factor, server=factor, tokens=factor)
    changed = load_scenario(SCENARIO, sets=assignments(plain, change))
    for before, after in zip(plan_topologies(plain), plan_topologies(changed), strict=True):
        was, now = (resolve_terms(planned).terms for planned in (before, after))
        for old_site, new_site in zip(was.owned, now.owned, strict=True):
            assert new_site.server.capex_usd == pytest.approx(factor * old_site.server.capex_usd, rel=1e-5)
        for old_offer, new_offer in zip(was.rented, now.rented, strict=True):
            (old_usd,), (new_usd,) = old_offer.usd_per_instance_hour, new_offer.usd_per_instance_hour
            assert new_usd == pytest.approx(factor * old_usd, rel=1e-5)
        for old, new in zip(was.apis, now.apis, strict=True):
            assert new.prices[0].output == pytest.approx(factor * old.prices[0].output)
            assert new.prices[0].cached_input == pytest.approx(factor * old.prices[0].cached_input)


ARRIVALS = {
    "poisson": "{kind: poisson, rate_rps: 2}",
    "gamma": "{kind: gamma, rate_rps: 2, cv: 2}",
    "schedule": "{kind: schedule, rate_rps: 2, spikes: [{start_s: 900, duration_s: 600, factor: 4}]}",
    "sessions": "{kind: sessions, rate_rps: 2, turns: 3, think_s: 5}",
    "a log": "{kind: trace, file: log.csv}",
    "a log again and again": "{kind: trace, file: log.csv, loop: true}",
    "a log twice": "{kind: trace, file: log.csv, row_factor: 2}",
    "a faster log": "{kind: trace, file: log.csv, rate_scale: 2}",
    "a profile": "{kind: profile, file: log.json, loop: false}",
    "job": "{kind: job, requests: 900, deadline_s: 1700}",
    "job of tokens": "{kind: job, tokens: 90000, deadline_s: 1700}",
}


@pytest.mark.parametrize("kind", ARRIVALS)
def test_twice_the_demand_is_twice_the_requests_at_the_same_times(tmp_path: Path, kind: str) -> None:
    """A log that is replayed in half the time has the same requests, and nobody comes in the other half."""
    rows = "".join(f"{4 * k / (1 + (k > 300))},100,20\n" for k in range(600))
    (tmp_path / "log.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    traces(tmp_path / "log.csv", bin_s=60.0, write=tmp_path / "log.json")
    file = tmp_path / "demand.yaml"
    document = yaml.safe_load(SCENARIO.read_text())
    lengths = {} if "log" in ARRIVALS[kind] else {"lengths": {"isl": 100, "osl": 20}}
    document["workload"] = {"classes": [{"name": "all", "arrivals": yaml.safe_load(ARRIVALS[kind]), **lengths}]}
    document["run"] |= {"horizon_s": 1800, "warmup_s": 0}
    file.write_text(yaml.safe_dump(document))
    plain = load_scenario(file)
    sets = assignments(plain, Change(demand=2.0))
    assert len(sets) == 1
    before, after = (_by_part(one) for one in (plain, load_scenario(file, sets=sets)))
    assert after.sum() == pytest.approx(2 * before.sum(), rel=0.1)
    assert after[:3].sum() / after.sum() == pytest.approx(before[:3].sum() / before.sum(), abs=0.08)


def _by_part(loaded: LoadedScenario) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    horizon_s = loaded.scenario.run.horizon_s
    return load_by_window(request_source(loaded), horizon_s / 6, 6)[:, :, 0].sum(axis=1)


def test_a_commitment_is_scaled_by_its_own_price() -> None:
    topology = (
        "{r: {pools: [{name: rented, site: aws-us-east, gpu: h100-sxm, replicas: 2, billing: reserved_1y, "
        "commitments: 1}]}}"
    )
    here = [f"topologies={topology}", "workload.classes[secret].data_class=internal"]
    plain = load_scenario(SCENARIO, sets=here)
    (found,) = (resolve_terms(planned).terms.rented[0] for planned in plan_topologies(plain))
    sets = [*here, *assignments(plain, Change(rent=2.0))]
    changed = load_scenario(SCENARIO, sets=sets)
    (after,) = (resolve_terms(planned).terms.rented[0] for planned in plan_topologies(changed))
    (before,), (scaled,) = found.commitments, after.commitments
    assert before.usd_per_instance_hour < found.usd_per_instance_hour[0]
    assert scaled.usd_per_instance_hour == pytest.approx(2 * before.usd_per_instance_hour, rel=1e-5)


def test_a_change_of_a_change_starts_from_the_changed_values() -> None:
    once = load_scenario(SCENARIO, sets=assignments(load_scenario(SCENARIO), Change(tokens=0.5, demand=2.0)))
    again = load_scenario(SCENARIO, sets=assignments(once, Change(tokens=0.5, demand=2.0)))
    assert again.scenario.topologies["mixed"].providers[0].price_scale == 0.25
    assert [cls.arrivals.rate_rps for cls in again.scenario.workload.classes] == [16.0, 4.0]


def test_everything_at_once_makes_a_scenario_that_can_be_run_in_full(bundle: Bundle, tmp_path: Path) -> None:
    file = bundle.path / "scenario.resolved.yaml"
    sets = assignments(load_scenario(file), EVERYTHING)
    written = tmp_path / "scenario.yaml"
    written.write_text(changed_text(file, sets))
    found = load_scenario(written).scenario
    assert found == load_scenario(file, sets=sets).scenario
    assert found.cost.electricity_usd_per_kwh == 0.2
    assert found.study.growth_per_year == 0.1
    assert {cls.slo.ttft_s["p99"] for cls in found.workload.classes} == {1.5 * 1.5}
    hit = {pool.site: pool.outages for topology in found.topologies.values() for pool in topology.pools}
    assert [place for place, outages in hit.items() if outages] == ["datacentre"]
    assert [(window.start_s, window.duration_s) for window in hit["datacentre"].windows] == [(10.0, 5.0)]


def test_what_sliders_do_not_reach_is_said() -> None:
    """An event writes its own prices."""
    plain = load_scenario(SCENARIO)
    assert as_events_write(plain) == ""
    name = next(iter(plain.scenario.topologies))
    event = f"study.events=[{{name: later, from_month: 2, topology: {name}, change: {{staff: {{base_fte: 0.5}}}}}}]"
    assert "later (month 2)" in as_events_write(load_scenario(SCENARIO, sets=["study.months=3", event]))


def test_a_fault_hits_what_it_names_and_nothing_else() -> None:
    plain = load_scenario(SCENARIO)
    known = {(fault.kind, fault.target): fault for fault in possible_faults(plain)}
    assert set(known) == {
        ("server", "datacentre"),
        ("server", "lambda"),
        ("server_lost", "datacentre"),
        ("place", "datacentre"),
        ("place", "lambda"),
        ("vendor", "api"),
        ("throttles", "api"),
        ("no_capacity", "lambda"),
        ("limit", "api"),
    }

    def after(kind: str, target: str) -> LoadedScenario:
        fault = replace(known[kind, target], start_s=60.0, duration_s=30.0, share=0.4, peak_tokens_per_s=1670.0)
        return load_scenario(SCENARIO, sets=assignments(plain, Change(fault=fault)))

    vendor = after("vendor", "api").scenario.topologies["mixed"]
    assert [(window.start_s, window.duration_s) for window in vendor.providers[0].outages.windows] == [(60.0, 30.0)]
    assert all(pool.outages is None for pool in vendor.pools)
    launches = after("no_capacity", "lambda").scenario.topologies["mixed"].pools
    found = [[(span.start_s, span.duration_s) for span in pool.stock_outs] for pool in launches]
    assert found == [[], [(60.0, 30.0)]], "owned servers are there"
    (storm,) = after("throttles", "api").scenario.topologies["mixed"].providers
    assert [(one.start_s, one.duration_s, one.share) for one in storm.throttling] == [(60.0, 30.0, 0.4)]
    assert storm.outages is None
    failing = after("server", "datacentre").scenario.topologies
    hit = {(name, pool.name): pool.server_failures for name, one in failing.items() for pool in one.pools}
    assert {place: [(one.start_s, one.duration_s) for one in found] for place, found in hit.items() if found} == {
        ("own", "base"): [(60.0, 30.0)],
        ("mixed", "base"): [(60.0, 30.0)],
    }
    lone = after("server_lost", "datacentre").scenario.topologies["own"].pools[0]
    assert lone.outages is not None, "the only server is lost: nothing is left"
    two = load_scenario(SCENARIO, sets=["topologies[own].pools[base].replicas=12"])
    left = load_scenario(SCENARIO, sets=assignments(two, Change(fault=known["server_lost", "datacentre"])))
    assert left.scenario.topologies["own"].pools[0].replicas == 4, "eight replicas stood on the server that is lost"
    limited = after("limit", "api").scenario.topologies["mixed"].providers[0]
    assert limited.tokens_per_minute == pytest.approx(0.5 * 60 * 1670)
    assert peak_tokens_per_s(plain) == pytest.approx(4 * 355 + 1 * 250, rel=0.3)


def test_a_fault_comes_beside_those_of_the_scenario(tmp_path: Path) -> None:
    file = tmp_path / "troubled.yaml"
    outages = "outages: {mtbf_h: 100, mttr_h: 1, windows: [{start_s: 6, duration_s: 8}]}"
    pool = f"server_failures: [{{start_s: 5, duration_s: 7}}], {outages}"
    api = "tokens_per_minute: 600, throttling: [{start_s: 3, duration_s: 4, share: 0.1}]"
    text = SCENARIO.read_text().replace("billing: owned}", f"billing: owned, {pool}}}")
    windows = "outages: {windows: [{start_s: 1, duration_s: 2}]}"
    file.write_text(text.replace("llama-3.3-70b}", f"llama-3.3-70b, {windows}, {api}}}"))
    plain = load_scenario(file)

    def after(kind: Any, target: str) -> Any:
        fault = Fault(kind, target, 60.0, 30.0, 0.4, peak_tokens_per_s=1670.0)
        sets = assignments(plain, Change(fault=fault))
        return load_scenario(file, sets=sets).scenario.topologies["mixed"]

    def spans(found: Any) -> list[tuple[float, float]]:
        return [(one.start_s, one.duration_s) for one in found]

    assert spans(after("server", "datacentre").pools[0].server_failures) == [(5, 7), (60, 30)]
    down = after("place", "datacentre").pools[0].outages
    assert (spans(down.windows), down.mtbf_h, down.mttr_h) == ([(6, 8), (60, 30)], 100, 1)
    assert spans(after("vendor", "api").providers[0].outages.windows) == [(1, 2), (60, 30)]
    storms = after("throttles", "api").providers[0].throttling
    assert [(one.start_s, one.share) for one in storms] == [(3, 0.1), (60, 0.4)]
    assert after("limit", "api").providers[0].tokens_per_minute == 600, "a fault lets no more through"


def test_a_rate_that_falls_is_no_higher_than_what_the_offer_lets_through() -> None:
    plain = load_scenario(SCENARIO)
    offered = token_offer("together/llama-3.3-70b").tokens_per_minute.value
    for peak, left in ((offered, offered), (offered / 60, offered / 2)):
        fault = Fault("limit", "api", peak_tokens_per_s=peak)
        changed = load_scenario(SCENARIO, sets=assignments(plain, Change(fault=fault)))
        assert changed.scenario.topologies["mixed"].providers[0].tokens_per_minute == left


def test_of_what_an_autoscaler_starts_anew_nothing_is_lost_for_good() -> None:
    fixed = "topologies[mixed].pools[burst]={name: burst, site: lambda, gpu: h100-sxm, replicas: 1}"
    for sets, is_offered in (([], False), ([fixed], True)):
        found = {(one.kind, one.target) for one in possible_faults(load_scenario(SCENARIO, sets=sets))}
        assert ("server", "lambda") in found
        assert (("server_lost", "lambda") in found) is is_offered


@pytest.mark.parametrize(
    ("kind", "stock_outs", "said"),
    [("no_capacity", (0, 0), True), ("no_capacity", (0, 3), False), ("place", (0, 0), False)],
)
def test_a_lack_of_machines_that_nobody_looked_for_is_told(kind: Any, stock_outs: tuple[int, int], said: bool) -> None:
    changed = [{"pools": [{"stockouts": times}]} for times in stock_outs]
    words = _lacked_words(Fault(kind, "lambda"), [*changed, {"pools": []}])
    assert ("Nothing asked for a machine" in words) is said
    assert _lacked_words(None, changed) == ""


def test_a_rate_is_half_that_of_the_busiest_time_of_a_log(tmp_path: Path) -> None:
    """A quiet night of a request a minute, then an hour of one a second, each of 100 + 20 tokens."""
    times = [*range(0, 8 * 3600, 60), *range(8 * 3600, 9 * 3600)]
    rows = "".join(f"{time},100,20\n" for time in times)
    (tmp_path / "log.csv").write_text(f"arrival_s,input_tokens,output_tokens\n{rows}")
    file = tmp_path / "logged.yaml"
    file.write_text(scenario_text({"trace": "log.csv", "offer": "openai/gpt-4o-mini"}, tmp_path))
    loaded = load_scenario(file)
    assert any((fault.kind, fault.target) == ("limit", "api") for fault in possible_faults(loaded))
    assert peak_tokens_per_s(loaded) == pytest.approx(120, rel=0.02)


def test_of_several_pools_at_a_site_it_is_chosen_whose_server_fails() -> None:
    pools = ", ".join(
        f"{{name: {name}, site: lambda, gpu: h100-sxm, replicas: 2, zone: {zone}}}"
        for name, zone in (("p", "a"), ("q", "b"))
    )
    here = [f"topologies[mixed].pools=[{pools}]", "topologies[mixed].routing={kind: weighted}"]
    here.append("workload.classes[secret].data_class=internal")
    plain = load_scenario(SCENARIO, sets=here)
    faults = [fault for fault in possible_faults(plain) if fault.kind == "server"]
    assert [fault.target for fault in faults] == ["datacentre", "lambda", "mixed: p", "mixed: q"]
    for target, hit in (("mixed: q", ["q"]), ("mixed: p", ["p"]), ("lambda", ["p"])):
        fault = Fault("server", target, 10.0, 5.0)
        found = load_scenario(SCENARIO, sets=[*here, *assignments(plain, Change(fault=fault))]).scenario
        assert [pool.name for pool in found.topologies["mixed"].pools if pool.server_failures] == hit


def test_faults_are_called_as_people_call_places_and_offers() -> None:
    """Two offers behind one name are no one offer; a zone is said behind its site; names of one's own stay."""
    words = {fault.words for fault in possible_faults(load_scenario(DASHBOARD))}
    assert {"one server at Own data centre fails", "Lambda has no machine for new launches"} <= words
    assert "the token API together, Llama 3.3 70B (Together AI), is down" in words
    zoned = load_scenario(DASHBOARD, sets=["topologies[cloud].pools[0].zone=b"])
    assert "Lambda, zone b is down" in {fault.words for fault in possible_faults(zoned)}
    other = "topologies[second].providers=[{name: together, offer: openai/gpt-4o}]"
    both = load_scenario(DASHBOARD, sets=[other])
    assert "the token API together is down" in {fault.words for fault in possible_faults(both)}


@pytest.mark.parametrize(
    "servers", ["electricity_usd_per_kwh: 0.3", f"electricity_by_hour_usd_per_kwh: [{'0.3, ' * 24}]"]
)
def test_electricity_is_what_is_paid_wherever_the_scenario_says_it(servers: str, tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO.read_text() + f"servers: [{{name: here, site: datacentre, {servers}}}]\n")
    plain = load_scenario(file)
    assert electricity_usd_per_kwh(plain) == {"datacentre": pytest.approx(0.3)}
    sets = assignments(plain, Change(electricity_usd_per_kwh=0.05, server=2.0))
    assert electricity_usd_per_kwh(load_scenario(file, sets=sets)) == {"datacentre": pytest.approx(0.05)}


def test_sizes_that_are_searched_anew_are_open_and_the_rest_of_the_change_stays(tmp_path: Path) -> None:
    sets = assignments(load_scenario(SCENARIO), Change(demand=2.0, replicas=2))
    file = tmp_path / "scenario.yaml"
    file.write_text(changed_text(SCENARIO, sets, anew=True))
    found = load_scenario(file).scenario
    (own,), (base, burst) = (topology.pools for topology in found.topologies.values())
    assert (own.replicas, base.replicas, burst.autoscaler) == ("auto", "auto", "auto")
    assert found.workload.classes[0].arrivals.rate_rps == 8


def test_the_slider_of_electricity_says_what_each_site_pays() -> None:
    words = _electricity_words({"datacentre": 0.12, "north": 0.04567})
    assert words.startswith("of owned servers, as the scenario has it: datacentre 0.12, north 0.04567;")
    assert _electricity_words({}) == "of owned servers, which this run has none of"


POOLS = """{own: {pools: [
  {name: three, site: lambda, gpu: h100-sxm, replicas: 3},
  {name: open, site: lambda, gpu: h100-sxm, replicas: auto},
  {name: scaled, site: lambda, gpu: h100-sxm, autoscaler: {min: 2, max: 4, target_per_replica: 9}},
  {name: found, site: lambda, gpu: h100-sxm, autoscaler: auto}]}}"""


@pytest.mark.parametrize(
    ("more", "three", "most"), [(1, 4, 5), (2, 5, 6), (-1, 2, 3), (-2, 1, 2), (-3, 1, 2), (-9, 1, 2), (0, None, None)]
)
def test_replicas_are_added_to_sizes_that_are_written_one_at_least_and_no_fewer_than_a_scaler_keeps(
    more: int, three: int | None, most: int | None
) -> None:
    loaded = load_scenario(SCENARIO, sets=[f"topologies={POOLS}"])
    right = {"three": f"replicas={three}", "scaled": f"autoscaler.max={most}"}
    told = [f"topologies[own].pools[{name}].{value}" for name, value in right.items() if three is not None]
    assert assignments(loaded, Change(replicas=more)) == told
