"""A what-if of a run whose sizes grow: both sides have those of each month."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from scenario_cases import written

from dashboard.changes import changed_text
from simulator.results.bundle import Bundle, read_bundle
from simulator.run.excerpt import Excerpt, excerpt_of
from simulator.run.phases import phases
from simulator.run.simulate import simulate
from simulator.run.sizes_by_month import found_by_month, parts, planned_with
from simulator.run.what_if import Kept, Summaries, served_in
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.schema.pool import QueueAutoscaler
from simulator.simulate.store import Store

GROWING = """
schema_version: 1
name: growing
model: llama-3.1-8b
engine: {quantization: fp8, max_model_len: 4096}
workload:
  classes:
    - name: chat
      arrivals: {kind: poisson, rate_rps: 8}
      lengths: {isl: 1500, osl: 250}
      slo: {ttft_s: {p95: 2}, tpot_s: {p95: 0.05}}
topologies:
  owned: {pools: [{name: base, site: datacentre, gpu: l40s, replicas: auto, billing: owned}]}
  rented: {pools: [{name: own, site: runpod-secure, gpu: l40s, replicas: auto}]}
  api: {providers: [{name: api, offer: openai/gpt-4o-mini, requests_per_minute: 0, tokens_per_minute: 0}]}
study: {months: 6, growth_per_year: 3.0}
run: {horizon_s: 120, warmup_s: 20}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("growing")
    return read_bundle(simulate(written(folder, GROWING), folder / "runs").bundle)


def plain(bundle: Bundle) -> LoadedScenario:
    return load_scenario(bundle.scenario_file)


def kept(bundle: Bundle) -> Kept:
    return Kept(plain(bundle), found_by_month(plain(bundle), bundle.decision))


def changed(bundle: Bundle, *sets: str) -> Summaries:
    run = kept(bundle)
    whole = excerpt_of(run.plain, 1e9, run.sizes)
    return served_in(load_scenario(bundle.scenario_file, sets=sets), whole, Store(), run)


def test_unchanged_it_is_the_run(bundle: Bundle) -> None:
    """Bills of owned servers have the power of months between two that are simulated, so not to the last cent."""
    sizes = kept(bundle).sizes
    assert sizes.keys() == {"owned", "rented"}
    assert all(each[1] < each[max(each)] for each in sizes.values())
    found = changed(bundle)
    for name, summary in bundle.summary["topologies"].items():
        assert found[name]["cost"]["usd_per_month"] == pytest.approx(summary["cost"]["usd_per_month"], rel=1e-3)
        assert found[name]["lasts_until"] == summary["lasts_until"]


def test_sizes_of_a_month_are_those_of_the_run_whatever_grows(bundle: Bundle) -> None:
    """Rent goes by replicas, so it stays; a load that grows faster outgrows them, one that grows slower does not."""
    before = changed(bundle)["rented"]["cost"]["usd_per_month"]
    faster, slower = (changed(bundle, f"study.growth_per_year={rate}") for rate in (12.0, 1.0))
    assert faster["rented"]["cost"]["usd_per_month"] == slower["rented"]["cost"]["usd_per_month"] == before
    assert faster["rented"]["lasts_until"] is not None
    assert slower["rented"]["lasts_until"] is None


def test_a_replica_more_is_one_more_in_each_month(bundle: Bundle) -> None:
    """At a price per replica and hour: as much more as one replica costs."""
    now = plain(bundle).scenario.topologies["rented"].pools[0].replicas
    before, after = changed(bundle), changed(bundle, f"topologies[rented].pools[own].replicas={int(now) + 1}")
    months = bundle.decision["topologies"]["rented"]["months"]
    each = months[0]["usd"] / months[0]["replicas"][0]
    assert after["rented"]["cost"]["usd_per_month"] - before["rented"]["cost"]["usd_per_month"] == pytest.approx(each)
    assert after["owned"]["cost"]["usd_per_month"] == before["owned"]["cost"]["usd_per_month"]


def test_each_size_is_simulated_with_loads_of_its_own(bundle: Bundle) -> None:
    """So the same number of requests is a shorter part of the run."""
    run = kept(bundle)

    def share(excerpt: Excerpt) -> float:
        return (excerpt.end_s - excerpt.start_s) / excerpt.horizon_s

    assert share(excerpt_of(run.plain, 1e9, run.sizes)) == 1
    assert parts({1: (2,), 4: (3,)}, 6) == [(1, 3), (4, 6)]
    assert parts({1: (2,), 4: (3,)}, 2.5) == [(1, 3)]
    slow = load_scenario(bundle.scenario_file, sets=["study.growth_per_year=0.1", "run.horizon_s=600"])
    loads, loads_of_sizes, requests = 3 * 2, 2 + 4 + 4, 8 * 600
    room = 1.2 * requests * loads
    assert room < requests * loads_of_sizes / 1.2
    assert excerpt_of(slow, room).has_all_time
    assert not excerpt_of(slow, room, {name: {1: (2,), 4: (3,)} for name in ("owned", "rented")}).has_all_time


def test_events_and_units_that_change_sizes_are_left_to_the_run(bundle: Bundle, tmp_path: Path) -> None:
    event = "{name: cheaper, from_month: 3, topology: rented, change: {pools: [{name: own, gpu: l40s}]}}"
    loaded = load_scenario(bundle.scenario_file, sets=[f"study.events=[{event}]"])
    assert found_by_month(loaded, bundle.decision).keys() == {"owned"}
    rows = {**bundle.decision["topologies"]}
    bought = [{**month, "units": {"api": month["month"]}} for month in rows["owned"]["months"]]
    rows["owned"] = {**rows["owned"], "months": bought}
    assert found_by_month(plain(bundle), {"topologies": rows}).keys() == {"rented"}


HYBRID = """
run: {horizon_s: 120, warmup_s: 20}
topologies:
  both:
    pools:
      - {name: base, site: runpod-secure, gpu: l40s, replicas: 2}
      - {name: burst, site: runpod-secure, gpu: l40s, replicas: 0}
    routing: {kind: overflow}
"""


@pytest.mark.parametrize(
    ("change", "then", "right"),
    [
        ("pools[base].replicas=2", (4, 1), {"base": 4, "burst": 1}),
        ("pools[base].replicas=2", (3, 0), {"base": 3}),
        ("pools[base].replicas=1", (3, 1), {"base": 2, "burst": 1}),
        ("pools[burst].replicas=3", (4, 0), {"base": 4, "burst": 3}),
        ("pools[burst].replicas=3", (4, 1), {"base": 4, "burst": 4}),
        ("pools[base].replicas=1", (0, 2), {"burst": 2}),
        ("pools[base].replicas=0", (2, 1), {"burst": 1}),
        ("pools[base].replicas=0", (5, 1), {"burst": 1}),
        ("pools[base].gpu=l4", (3, 1), {"base": 3, "burst": 1}),
        (
            "pools=[{name: burst, site: runpod-secure, gpu: l40s, replicas: 1}, "
            "{name: more, site: runpod-secure, gpu: l40s, replicas: 5}]",
            (3, 1),
            {"burst": 2, "more": 5},
        ),
    ],
)
def test_what_a_change_adds_comes_to_the_size_of_each_month(
    change: str, then: tuple[int, ...], right: dict[str, int], tmp_path: Path
) -> None:
    """A pool that a change takes away is away in all months, one that it brings is as it brings it."""
    plain = written(tmp_path, GROWING[: GROWING.index("topologies:")] + HYBRID)
    changed = load_scenario(tmp_path / "scenario.yaml", sets=[f"topologies[both].{change}"])
    fleet = planned_with(changed, plain, "both", then).fleet
    assert {pool.name: pool.replicas for pool in fleet.pools} == right


@pytest.mark.parametrize(("most", "then", "right"), [(4, 4, {4}), (4, 6, {6}), (6, 6, {8}), (4, 0, set()), (6, 0, {2})])
def test_most_replicas_of_an_autoscaler_are_those_of_each_month(
    most: int, then: int, right: set[int], tmp_path: Path
) -> None:
    scaled = HYBRID.replace("replicas: 2", "autoscaler: {min: 1, max: 4, target_per_replica: 8}")
    plain = written(tmp_path, GROWING[: GROWING.index("topologies:")] + scaled.replace("replicas: 0", "replicas: 1"))
    changed = load_scenario(tmp_path / "scenario.yaml", sets=[f"topologies[both].pools[base].autoscaler.max={most}"])
    fleet = planned_with(changed, plain, "both", (then, 1)).fleet
    assert {pool.most_replicas for pool in fleet.pools if pool.name == "base"} == right


def test_a_run_in_full_has_the_sizes_of_each_month(bundle: Bundle, tmp_path: Path) -> None:
    """Nothing else changed, it is the run: the same sizes, bought and rented in the same months, for the same bills."""
    run = kept(bundle)
    text = changed_text(bundle.scenario_file, [], sizes=run.sizes)
    again = read_bundle(simulate(written(tmp_path, text), tmp_path / "runs").bundle)
    for name, was in bundle.decision["topologies"].items():
        months = again.decision["topologies"][name]["months"]
        assert [month["replicas"] for month in months] == [month["replicas"] for month in was["months"]]
        assert [month["usd"] for month in months] == pytest.approx([month["usd"] for month in was["months"]])
        assert again.summary["topologies"][name]["lasts_until"] == bundle.summary["topologies"][name]["lasts_until"]


def test_a_run_in_full_adds_its_change_to_the_sizes_of_each_month(bundle: Bundle) -> None:
    run = kept(bundle)
    more = f"topologies[rented].pools[own].replicas={run.sizes['rented'][1][0] + 2}"
    text = changed_text(bundle.scenario_file, [more, "study.months=3"], sizes=run.sizes)
    events = yaml.safe_load(text)["study"]["events"]
    found = {(event["topology"], event["from_month"]): event["change"]["pools"][0]["replicas"] for event in events}
    right = {
        (name, first): size[0] + (2 if name == "rented" else 0)
        for name, sizes in run.sizes.items()
        for first, size in sizes.items()
        if 1 < first <= 3
    }
    assert found == right
    anew = changed_text(bundle.scenario_file, [], anew=True, sizes=run.sizes)
    assert "auto" in anew
    assert yaml.safe_load(anew)["study"]["events"] == []


SEASONS = """
schema_version: 1
name: seasons
model: llama-3.1-8b
engine: {max_model_len: 4096}
workload:
  classes:
    - {name: chat, arrivals: {kind: poisson, rate_rps: 4}, lengths: {isl: 300, osl: 40}, slo: {ttft_s: {p95: 2}}}
topologies:
  rent:
    pools:
      - {name: base, gpu: l40s}
      - {name: more, gpu: l40s, autoscaler: {min: 1, max: 2, target_per_replica: 7, period_s: 20}}
study: {months: 8}
run: {horizon_s: 120}
"""


def test_a_pool_that_is_not_there_for_some_months_comes_back_with_its_autoscaler(tmp_path: Path) -> None:
    plain_run = written(tmp_path, SEASONS)
    sizes = {"rent": {1: (1, 2), 4: (1, 0), 6: (1, 3)}}
    text = changed_text(plain_run.path, ["topologies[rent].pools[base].price_usd_per_gpu_hour=1"], sizes=sizes)
    found = phases(written(tmp_path, text), "rent")
    assert [phase.first for phase in found] == [4, 6]
    away, back = (phase.loaded.scenario.topologies["rent"].pools[1] for phase in found)
    assert (away.replicas, away.autoscaler) == (0, None)
    _, plain_pool = plain_run.scenario.topologies["rent"].pools
    assert isinstance(plain_pool.autoscaler, QueueAutoscaler)
    assert back.autoscaler == plain_pool.autoscaler.model_copy(update={"max": 3})
    assert back.replicas == plain_pool.replicas
