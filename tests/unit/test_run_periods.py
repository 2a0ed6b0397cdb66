"""Open sizes under several periods: each is judged by itself, all are paid, and what is shown is one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scenario_cases import chat, written

from simulator.resolve.sizes import Scaled, alone, open_pools
from simulator.run.loads import loads_of
from simulator.run.simulate import simulate
from simulator.simulate.demand import PeriodDemand, whole_month
from simulator.simulate.one import simulate_one
from simulator.simulate.store import Store
from simulator.size.search import search
from simulator.size.trials import Trials

OWN = "own: {pools: [{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}]}"


def second_binds(study: str, rate_rps: float) -> str:
    """Own servers of an open number."""
    asked = {"osl": 100, "tpot_s": 0.02, "horizon_s": 40, "warmup_s": 5, "replications": 2}
    return chat(OWN, study=study, rate_rps=rate_rps, **asked)


RAMP_BINDS = """
schema_version: 1
name: ramp
model: llama-3.1-8b-instruct
engine: {max_model_len: 8192, enable_prefix_caching: false}
workload:
  classes:
    - name: steady
      arrivals: {kind: poisson, rate_rps: 160}
      lengths: {isl: 500, osl: 200}
      slo: {ttft_s: {p99: 1.0}, tpot_s: {p95: 0.02}}
    - name: rush
      arrivals:
        kind: schedule
        rate_rps: 0.001
        spikes: [{start_s: 200, duration_s: 100, factor: 160000}]
      lengths: {isl: 500, osl: 200}
      slo: {ttft_s: {p99: 1.0}, tpot_s: {p95: 0.02}}
topologies:
  elastic:
    pools:
      - name: rented
        price_usd_per_gpu_hour: 3.0
        gpus_per_instance: 1
        site: lambda
        gpu: h100-sxm
        autoscaler: {min: 1, max: auto, target_per_replica: auto}
        cold_start: {provision_s: 40, image_s: 0, weights_s: 10, engine_s: 10}
study:
  months: 12
  periods:
    - {name: peak, hours_per_month: 100, load_by_class: {rush: 0.001}}
    - {name: ramp, load_by_class: {steady: 0.1}}
cost: {draws: 0}
run: {horizon_s: 400, warmup_s: 100, replications: 1, seed: 5, keep_requests: false}
"""


def test_a_period_is_the_same_part_in_every_month_whatever_its_load_and_the_study_s_length(tmp_path: Path) -> None:
    """By its place in the scenario, though the busiest comes first and a short study reaches the second alone."""
    periods = (
        "first_month: 2027-04, growth_per_year: 0.5, "
        "periods: [{name: q1, quarters: [1]}, {name: rest, quarters: [2, 3, 4]}, "
        "{name: peak, hours_per_month: 80, load: 6}]"
    )
    for months in (2, 12):
        loads = loads_of(written(tmp_path, second_binds(f"months: {months}, {periods}", 30)))
        for factor in (1.0, 1.4):
            asked = [replace(loads.horizon.asked(month), level=(factor,)) for month in loads.horizon.numbers]
            parts = {one.period.name: one.demand.part for month in asked for one in loads.periods(month)}
            assert parts == {"rest": 1, "peak": 2} | ({"q1": 0} if months == 12 else {})


RENTED = "{name: base, site: lambda, gpu: h100-sxm, replicas: auto, gpus_per_instance: 1}"
OWNED = "{name: base, site: datacentre, gpu: h100-sxm, replicas: auto, billing: owned}"
API = (
    "providers: [{name: api, prices: [{input: 0.1, output: 0.1}], ttft_s: {median: 0.1}, tpot_s: {median: 0.005}, "
    "data_classes: [internal]}], routing: {kind: overflow, when: {outstanding_per_replica: 60}}"
)
SERVERS = "servers: [{name: box, site: datacentre, gpu: h100-sxm, gpus_per_server: 1, capex_usd: 40000, spares: 0}]"


def test_a_season_is_sized_in_its_months_and_owned_hardware_beside_others_by_the_year(tmp_path: Path) -> None:
    """Sizes are those of a study of one such month: rent goes with the season, and servers come with it.

    Beside a token API servers are weighed over all hours of the year: a season of 20 hours buys none.
    """
    periods = "periods: [{name: ordinary}, {name: season, hours_per_month: 20, load: 8, quarters: [2]}]"
    study = f"months: 9, first_month: 2027-03, {periods}"
    ways = [f"rent: {{pools: [{RENTED}]}}", f"own: {{pools: [{OWNED}], {SERVERS}}}"]
    ways += [f"mix: {{pools: [{OWNED}], {SERVERS}, {API}}}"]
    asked = {"osl": 100, "tpot_s": 0.02, "horizon_s": 20, "warmup_s": 5}
    run = simulate(written(tmp_path, chat(*ways, study=study, rate_rps=30, **asked)), tmp_path)
    ordinary, season = (
        simulate(written(tmp_path, chat(ways[0], study="months: 1", rate_rps=rate, **asked)), tmp_path / str(rate))
        for rate in (30, 240)
    )
    (few,), (most,) = (one.decision["topologies"]["rent"]["months"][0]["replicas"] for one in (ordinary, season))
    found = {
        name: [sum(month["replicas"]) for month in one["months"]] for name, one in run.decision["topologies"].items()
    }
    assert few < most
    assert found["rent"] == [few] + [most] * 3 + [few] * 5
    assert found["own"] == [few] + [most] * 8
    assert found["mix"] == [few] * 9
    assert all(month["meets"] for one in run.decision["topologies"].values() for month in one["months"])


def test_the_period_that_binds_is_sized_and_shown_and_all_are_paid(tmp_path: Path) -> None:
    periods = "periods: [{name: ordinary}, {name: peak, hours_per_month: 80, load: 6.0}]"
    result = simulate(written(tmp_path, second_binds(f"months: 12, {periods}", 30)), tmp_path)
    peak = simulate(written(tmp_path, second_binds("months: 12", 180)), tmp_path / "peak")
    told, alone_told = (run.summary["topologies"]["own"] for run in (result, peak))
    assert told["search"]["sizes"] == alone_told["search"]["sizes"] != {"base": "1"}
    assert told["period"] == "peak"
    assert told["metrics"]["slo_met"]
    assert told["metrics"]["arrived"] == alone_told["metrics"]["arrived"]
    assert told["metrics"]["slo_attainment"] == alone_told["metrics"]["slo_attainment"]
    shown = {one["name"]: one for one in told["periods"]}
    assert {name: one["hours"] for name, one in shown.items()} == {"ordinary": 650.0, "peak": 80.0}
    assert all(one["meets"] for one in shown.values())
    months = result.decision["topologies"]["own"]["months"]
    assert all(month["meets"] for month in months)
    assert months[0]["replicas"] == peak.decision["topologies"]["own"]["months"][0]["replicas"]
    usd, peak_usd = told["cost"]["usd_per_month"], alone_told["cost"]["usd_per_month"]
    assert usd < peak_usd, "the ordinary hours need less electricity"
    best = min(row["usd_per_month"] for row in told["search"]["trail"] if row["word"] == "met")
    assert best == pytest.approx(usd, rel=1e-9), "the search pays what the run pays"


@pytest.mark.exhaustive
def test_a_ramp_that_binds_an_autoscaler_where_the_peak_does_not(tmp_path: Path) -> None:
    loaded = written(tmp_path, RAMP_BINDS)
    loads = loads_of(loaded)
    periods = loads.first_month
    assert [one.period.name for one in periods] == ["peak", "ramp"]
    store, pools = Store(), open_pools(loaded, "elastic")

    def trials(asked: tuple[PeriodDemand, ...]) -> Trials:
        return Trials(alone(loaded, "elastic"), "elastic", pools, asked, store)

    late = (Scaled(1, 8, 103.0),)
    assert trials(whole_month(periods[0].demand))(late).word == "met"
    both = trials(periods)
    assert both(late).word == "refused"
    best = search(both).best
    assert best is not None
    for period in periods:
        outcome = simulate_one(both.sized(best.point).subject, period.demand, 0)
        assert all(row["met"] is not False for row in outcome.metrics.terms())


HOURLY = [0.0 if hour < 8 or hour >= 18 else 1.0 for hour in range(24)]
RENT = "rent: {pools: [{name: base, site: lambda, gpu: h100-sxm, replicas: 1, gpus_per_instance: 1}]}"


@pytest.mark.parametrize(
    ("study", "sets", "meets"),
    [
        ("months: 1, periods: [{name: day, hours: 8-18}, {name: night, hours: 18-8}]", (), True),
        ("months: 1, cut: {window_h: 6, kinds: 3}", ("run.horizon_s=86400", "run.warmup_s=0"), True),
        ("months: 1", ("run.start=mon 20:00",), None),
    ],
)
def test_hours_without_anybody_by_schedule_are_judged_only_where_no_other_hours_are(
    tmp_path: Path, study: str, sets: tuple[str, ...], meets: bool | None
) -> None:
    """By night nobody comes, so there is nothing to miss; a run of the night alone knows nothing."""
    arrivals = f"{{kind: schedule, rate_rps: 0.5, hourly: {HOURLY}}}"
    loaded = written(tmp_path, chat(RENT, study=study), f"workload.classes[chat].arrivals={arrivals}", *sets)
    result = simulate(loaded, tmp_path)
    assert [month["meets"] for month in result.decision["topologies"]["rent"]["months"]] == [meets]
    words = "rent: the cheapest topology that meets the SLO" if meets else "No verdict: no request of chat came"
    assert result.summary["verdict"].startswith(words)
