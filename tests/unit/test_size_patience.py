"""Clients who leave sooner than any replica could answer, and what token APIs alone miss: no size mends either."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.resolve.topology import plan_topology
from simulator.run.loads import loads_of
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of
from simulator.simulate.store import Store
from simulator.size.answer import Answer, answer
from simulator.size.patience import too_impatient

OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: REPLICAS, billing: owned}]}"
API = "{name: api, offer: openai/gpt-4o-mini, requests_per_minute: 0, tokens_per_minute: 0, error_probability: 0.1}"
CLASS = "workload.classes[chat]"


def case(folder: Path, leaves: str, *sets: str, replicas: int | str = 2, topology: str = OWN) -> LoadedScenario:
    text = chat(topology.replace("REPLICAS", str(replicas)), study="months: 1", rate_rps=5)
    return written(folder, text, f"{CLASS}.leaves={leaves}", *sets)


def told(loaded: LoadedScenario) -> str:
    return too_impatient(plan_topology(loaded, "own").fleet, demand_of(loaded))


def sized(loaded: LoadedScenario) -> Answer:
    return answer(loaded, "own", loads_of(loaded).first_month, Store(None))


def counted(words: str) -> list[int]:
    return [int(word.replace(",", "")) for word in words.replace(",", "").split() if word.isdecimal()]


def test_who_has_no_patience_at_all_is_counted_and_who_has_enough_is_not(tmp_path: Path) -> None:
    """All clients of the window leave at once; none who wait for days, and none where nobody leaves."""
    loaded = case(tmp_path, "{share: 1, after_s: 1e-9}")
    (most,) = demand_of(loaded).most_requests
    words = told(loaded)
    assert words.startswith(f"clients: chat: at least {most} of {most} clients leave before a replica of their own")
    assert words.endswith("ttft p99 ≤ 1 s allows 2")
    assert not told(case(tmp_path, "{share: 1, after_s: 1e9}"))
    assert not told(case(tmp_path, "{share: 0, after_s: 1e-9}"))


def test_so_many_leave_the_largest_fleet_too(tmp_path: Path) -> None:
    """Answers of 200 tokens take 1.6 s alone: never more are told than leave 16 replicas, and hardly fewer."""
    loaded = case(tmp_path, "{share: 0.3, after_s: 2}", replicas=16)
    gone, most, _ = (n for n in counted(told(loaded)) if n not in (1, 99))
    outcome = simulate_one(subject_of(plan_topology(loaded, "own")), demand_of(loaded), 0)
    summary = outcome.metrics.summary()
    left = summary["reasons"]["timed_out"]["left"]
    assert summary["arrived"] == most
    assert 0.9 * left <= gone <= left


@pytest.mark.parametrize("share", ["0.5", "0.85"])
def test_what_the_slo_leaves_room_for_is_no_reason(tmp_path: Path, share: str) -> None:
    """Half of 15 % of the clients leave: too many of nine in ten terms, not of one that half must keep."""
    slo = f"{CLASS}.slo={{ttft_s: {{p50: 1}}, served: {share}}}"
    assert not told(case(tmp_path, "{share: 0.15, after_s: 2}", slo))
    assert told(case(tmp_path, "{share: 0.15, after_s: 2}", slo.replace(share, "0.95")))


def test_what_a_prefix_cache_may_hold_is_given_to_them(tmp_path: Path) -> None:
    """A prompt of 7,000 tokens takes long alone; with a cache it may take no time, so the answer alone is counted."""
    long = f"{CLASS}.lengths={{isl: 7000, osl: 1}}"
    leaves = "{share: 1, after_s: 0.05}"
    (cold, *_) = counted(told(case(tmp_path, leaves, long)))
    warm = told(case(tmp_path, leaves, long, "engine.enable_prefix_caching=true"))
    assert counted(warm)[0] < 0.5 * cold


def test_nothing_is_said_of_classes_that_a_token_api_may_serve(tmp_path: Path) -> None:
    both = OWN.replace("]}", f"], providers: [{API}]}}")
    public = f"{CLASS}.data_class=public"
    loaded = case(tmp_path, "{share: 1, after_s: 1e-9}", public, topology=both)
    planned = plan_topology(loaded, "own")
    assert not too_impatient(planned.fleet, demand_of(loaded))


def test_no_size_is_searched_for_them(tmp_path: Path) -> None:
    found = sized(case(tmp_path, "{share: 0.2, after_s: 0.5}", replicas="auto"))
    assert found.infeasible.startswith("clients: chat: at least ")
    assert len(found.search.trail) == 1
    assert found.search.is_finished
    enough = sized(case(tmp_path, "{share: 0.001, after_s: 60}", replicas="auto"))
    assert not enough.infeasible


def test_what_a_token_api_alone_misses_is_said_of_it(tmp_path: Path) -> None:
    """A class that only the API may serve fails in a tenth of its calls; the other one is served by any pool."""
    api = API.replace("name: api", "name: api, data_classes: [restricted]")
    other = (
        "{name: far, arrivals: {kind: poisson, rate_rps: 2}, lengths: {isl: 50, osl: 5}, max_retries: 0, "
        "data_class: restricted, slo: {e2e_s: {p50: 60}}}"
    )
    both = OWN.replace("datacentre", "lambda").replace("owned", "on_demand").replace("]}", f"], providers: [{api}]}}")
    text = chat(both.replace("REPLICAS", "auto"), study="months: 1", rate_rps=2)
    loaded = written(tmp_path, text.replace("topologies:", f"    - {other}\ntopologies:", 1))
    words = sized(loaded).infeasible
    assert words.startswith("token API: far: served ≥ 99 % holds for 9")
    assert "requests failed" in words
