"""Times of a scenario: what is refused at its place, and what the clock makes of prices by the hour."""

from __future__ import annotations

from pathlib import Path

import pytest
from priced_cases import priced
from scenario_cases import written

from simulator.catalog.grids import grid
from simulator.catalog.sites import site
from simulator.errors import InputError
from simulator.resolve.horizon import horizon_of
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topology
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario
from simulator.simulate.demand import demand_of
from simulator.simulate.one import simulate_one, subject_of
from simulator.study.terms import Facility

SCENARIO = """
schema_version: 1
name: hours
model: llama-3.1-8b-instruct
workload:
  classes:
    - {name: chat, arrivals: {kind: poisson, rate_rps: 0.1}, lengths: {isl: 100, osl: 5}, data_class: public}
topologies:
  t:
    providers: [{name: api, offer: deepseek/deepseek-v4-flash, error_probability: 0, max_wait_s: 1000}]
study: {months: 1}
run: {horizon_s: 3600, start: 2026-07-01, drain_s: 0}
"""
POOL = "topologies.t.pools"
GPUS = "{name: own, site: lambda, gpu: h100-sxm, billing: on_demand, "


def loaded(folder: Path, *sets: str) -> LoadedScenario:
    return written(folder, SCENARIO, *sets)


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (
            ["run.time_zone=Europe/Berln"],
            "run.time_zone: unknown time zone 'Europe/Berln': did you mean 'Europe/Berlin'?",
        ),
        (["run.time_zone=Europe/Berlin", "run.start=tue 8"], "run.time_zone: needs a run that begins on a date"),
        (["run.holidays=DE", "run.start=tue 8"], "run.holidays: needs a run that begins on a date"),
        (["run.holidays=ZZ"], "run.holidays: unknown country 'ZZ'"),
        (["run.holidays=DE-XX"], "run.holidays: unknown part of DE 'XX'"),
        (["run.start=2026-02-30 8:00"], "run.start: day is out of range for month"),
        (["run.start=2026-03-29 2:30", "run.time_zone=Europe/Berlin"], "run.start: does not exist in Europe/Berlin"),
        (["run.start=2026-03-02 25:00"], "run.start: "),
        (
            ["study.periods=[{name: a, start: 2026-07-01}]", "run.start=tue 8"],
            "study.periods[0].start: needs a run that",
        ),
        (["study.periods=[{name: a, start: tue 8, start_hour: 9}]"], "study.periods[0].start_hour: give start or"),
        (["study.periods=[{name: a, hours: 8-8}]"], "study.periods[0].hours: begins when it ends"),
        (["study.periods=[{name: a, days: mon, hours: 8-9}]"], "must add up to 730"),
        (
            [f"{POOL}=[{GPUS}schedule: [{{replicas: 1, time_zone: Mars}}]}}]"],
            "schedule[0].time_zone: unknown time zone",
        ),
        (
            [f"{POOL}=[{GPUS}schedule: [{{replicas: 1, time_zone: Asia/Tokyo}}]}}]", "run.start=mon"],
            "schedule[0].time_zone: needs a run that begins on a date",
        ),
        (
            [f"{POOL}=[{GPUS}schedule: [{{replicas: 1, holidays: excluded}}]}}]"],
            "schedule[0].holidays: needs run.holidays",
        ),
        (
            ["topologies.t.providers[0].peak={hours: [1-1], factor: 2}"],
            "providers[0].peak.hours[0]: begins when it ends",
        ),
        (["topologies.t.providers[0].peak={hours: [1-2:30], factor: 2}"], "peak.hours[0]: must be whole hours of UTC"),
        (
            ["topologies.t.providers[0].peak={hours: [1-2], factor: 2, time_zone: Asia/Kolkata}"],
            "peak.hours[0]: must be whole hours of UTC",
        ),
        (
            ["topologies.t.providers[0].peak={hours: [1-2], factor: 2, time_zone: Asia/Tokyo}", "run.start=mon"],
            "peak.time_zone: needs a run that begins on a date",
        ),
        (
            ["servers=[{name: a, site: datacentre, time_zone: Asia/Tokyo}]", "run.start=mon"],
            "servers[0].time_zone: needs a run that begins on a date",
        ),
    ],
)
def test_what_cannot_be_is_said_at_its_place(tmp_path: Path, sets: list[str], words: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_terms(plan_topology(loaded(tmp_path, *sets), "t"))
    assert words in str(caught.value)


def usd(folder: Path, *sets: str) -> float:
    scenario = loaded(folder, *sets)
    planned = plan_topology(scenario, "t")
    terms = resolve_terms(planned).terms
    return priced([simulate_one(subject_of(planned), demand_of(scenario), 0)], terms).usd_per_month


def test_a_call_pays_by_the_hour_of_its_provider(tmp_path: Path) -> None:
    """9:00 to 12:00 and 14:00 to 18:00 in Beijing are dear; the same traffic an hour before is not."""
    beijing = "run.time_zone=Asia/Shanghai"
    calm = usd(tmp_path, "run.start=2026-07-01 8:00", beijing)
    for start, zone, factor in (
        ("2026-07-01 9:00", beijing, 2.0),
        ("2026-07-01 12:00", beijing, 1.0),
        ("2026-07-01 3:00", "run.time_zone=Europe/Berlin", 2.0),
        ("2026-12-01 3:00", "run.time_zone=Europe/Berlin", 2.0),
        ("2026-12-01 4:00", "run.time_zone=Europe/Berlin", 2.0),
        ("2026-07-01 5:00", "run.time_zone=Europe/Berlin", 2.0),
        ("2026-07-01 6:00", "run.time_zone=Europe/Berlin", 1.0),
        ("wed 17:00", "run.seed=0", 1.0),
        ("wed 9:00", "run.seed=0", 2.0),
    ):
        assert usd(tmp_path, f"run.start={start}", zone) == pytest.approx(factor * calm), start
    whole = usd(
        tmp_path, "run.start=2026-07-01 9:00", beijing, "topologies.t.providers[0].peak={hours: [0-24], factor: 3}"
    )
    assert whole == pytest.approx(3 * calm)
    tokyo = "topologies.t.providers[0].peak={hours: [17-18], factor: 3, time_zone: Asia/Tokyo}"
    assert usd(tmp_path, "run.start=2026-07-01 8:00", tokyo) == pytest.approx(3 * calm)
    assert usd(tmp_path, "run.start=2026-07-01 17:00", tokyo) == pytest.approx(calm)


def test_the_clock_moves_no_other_bill(tmp_path: Path) -> None:
    """Prices of one's own have no peak of the catalog."""
    own = "topologies.t.providers[0].prices=[{above_tokens: 0, input: 1, output: 2}]"
    assert usd(tmp_path, "run.start=wed 9:00", own) == pytest.approx(usd(tmp_path, "run.start=wed 17:00", own))


OWN = "topologies={t: {pools: [{name: own, site: datacentre, gpu: h100-sxm, billing: owned}]}}"


def facility(folder: Path, *sets: str) -> Facility:
    (owned,) = resolve_terms(plan_topology(loaded(folder, OWN, *sets), "t")).terms.owned
    return owned.facility


def test_hours_of_electricity_and_carbon_are_those_of_the_site(tmp_path: Path) -> None:
    """Its own word, else its grid's; without a date all clocks show the same."""
    there = grid(site("datacentre").grid or "")
    found = facility(tmp_path, "run.time_zone=Europe/Berlin")
    assert (found.time_zone, found.grid_zone) == (there.time_zone, there.time_zone)
    assert found.co2_kg_per_kwh == there.co2_kg_per_kwh
    own = "servers=[{name: ours, site: datacentre, time_zone: Asia/Tokyo}]"
    assert facility(tmp_path, own).time_zone == "Asia/Tokyo"
    undated = facility(tmp_path, "run.start=tue")
    assert (undated.time_zone, undated.grid_zone) == ("", "")


def test_a_peak_is_at_its_hours_in_every_season(tmp_path: Path) -> None:
    """9:00 to 10:00 in New York is 13:00 UTC in July and 14:00 in December."""
    peak = "topologies.t.providers[0].peak={hours: [9-10], factor: 3, time_zone: America/New_York}"
    found = []
    for hour in (13, 14):
        study = f"{{months: 1, periods: [{{name: a}}, {{name: b, hours_per_month: 365, start: 2026-12-01 {hour}:00}}]}}"
        sets = ("run.start=2026-07-01 13:00", f"study={study}")
        flat, dear = (
            simulate(loaded(tmp_path, *sets, *more), tmp_path / "runs").summary["topologies"]["t"]["cost"]
            for more in (("topologies.t.providers[0].peak={hours: [0-24], factor: 1}",), (peak,))
        )
        found.append(dear["usd_per_month"] / flat["usd_per_month"])
    assert found[1] == pytest.approx(3.0)
    assert 1.5 < found[0] < 2.5, "half of the month is an hour early"


@pytest.mark.parametrize(
    ("sets", "month"),
    [(["run.start=2026-07-01"], 7), (["run.start=tue"], 1), (["run.start=2026-07-01", "study.first_month=2027-03"], 3)],
)
def test_a_study_begins_in_the_month_of_its_run(tmp_path: Path, sets: list[str], month: int) -> None:
    scenario = loaded(tmp_path, *sets)
    assert horizon_of(scenario).first_month == month
    assert resolve_terms(plan_topology(scenario, "t")).terms.first_month == month


def test_spares_are_of_the_most_that_a_schedule_has(tmp_path: Path) -> None:
    pool = "{name: own, site: datacentre, gpu: h100-sxm, tensor_parallel_size: 8, billing: owned, "
    found = []
    for size in ("replicas: 12}", "replicas: 0, schedule: [{hours: 8-20, replicas: 12}]}"):
        (spec,) = plan_topology(loaded(tmp_path, f"{POOL}=[{pool}{size}]"), "t").fleet.pools
        found.append(spec.spares)
    assert found[0] == found[1] > 0
