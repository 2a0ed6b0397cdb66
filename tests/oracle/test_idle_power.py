"""Owned machines that are powered and serve nobody are in the bill of electricity; those that are down are not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agreement import agree, second_bill
from bill_cases import FREE, HOUR_S, PLAIN_SERVER, fixed, month, owned, servers
from bill_cases import pool as pool_used
from fleet_cases import WATTS, classes, evenly, fleet, pool

from simulator.bill.energy import study_energy
from simulator.bill.study import bill_study
from simulator.catalog.costs import cost_words
from simulator.decide.costed import month_uses
from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.single import RequestList
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.results.bundle import read_bundle
from simulator.run.downtime import with_downtime
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario
from simulator.study.bill import Tokens
from simulator.study.decision import Served, Share, Walked
from simulator.study.demand import Period
from simulator.study.fleet import PoolSpec, Reliability
from simulator.study.terms import Terms
from simulator.study.usage import Stay, Usage

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
SETS = (
    "run={horizon_s: 60, warmup_s: 0, seed: 3}",
    "cost.draws=0",
    "study={months: 1, periods: [{name: work, hours_per_month: 220}, {name: night, load: 0}]}",
    "topologies.own.pools[0].failures=false",
)


def test_the_draw_of_a_card_without_a_model_is_called_in_words() -> None:
    """The L40S has one of its own; of others it is that of the H100 by the power of the board."""
    sets = [*SETS, "topologies.own.pools[0].gpu=l40s"]
    (own,) = plan_topologies(load_scenario(SCENARIO, sets=sets).only("own"))
    used = {cost_words(figure.id): figure.value for figure in resolve_terms(own).figures}
    assert used["power without a model of l40s"] == 35
    assert not [words for words in used if ".power." in words]


def test_a_night_in_which_nobody_comes_pays_for_idle_power(tmp_path: Path) -> None:
    """One GPU of two servers, one of them a spare, has a replica: it draws its idle power for 510 hours of the night.

    Both hosts draw 2 kW for all 730 hours, and the 15 other GPUs the 100 W of one without a model.
    """
    study = simulate(load_scenario(SCENARIO, sets=list(SETS)).only("own"), tmp_path)
    bundle = read_bundle(study.bundle)
    second = second_bill(bundle.path, "own")
    usd = {row["part"]: row["usd"] for row in second.mean_lines() if row["category"] == "electricity"}
    (month,) = second.months.use
    watts = {
        period["hours"]: usage["pools"][0]["energy_by_hour_j"][0] / (usage["end_s"] - usage["start_s"])
        for period, usage in month
    }
    per_kwh = 1.54 * 0.12
    assert watts[510.0] == pytest.approx(138.0)
    assert watts[220.0] > watts[510.0]
    assert usd["hosts"] == pytest.approx(2 * 2.0 * 730 * per_kwh)
    assert usd["unused"] == pytest.approx(15 * 0.1 * 730 * per_kwh)
    assert usd["gpus"] == pytest.approx((0.138 * 510 + watts[220.0] / 1000 * 220) * per_kwh)
    (energy,) = bundle.summary["topologies"]["own"]["cost"]["energy"]
    assert energy["kwh_per_month"] == pytest.approx(math.fsum(usd.values()) / 0.12)


def used(spec: PoolSpec) -> Usage:
    """Of 100 s."""
    return simulate_fleet(
        fleet((spec,), classes=classes(1)),
        RequestList(evenly(1, 1.0)),
        horizon_s=100.0,
        drain_s=0.0,
        warmup_s=0.0,
        seed=3,
        sink=lambda records: None,
        sample_s=100.0,
    ).usage


@pytest.mark.parametrize(
    ("known", "swap_s", "down_s", "running_s"),
    [
        ((), None, 0, 100),
        (((20.0, 50.0),), None, 30, 70),
        (((20.0, 50.0),), 5.0, 30, 95),
        (((90.0, 120.0),), 2.0, 10, 98),
    ],
    ids=["up", "repaired", "a spare stands in", "repaired after the end"],
)
def test_a_machine_that_is_down_draws_nothing(
    known: tuple[tuple[float, float], ...], swap_s: float | None, down_s: float, running_s: float
) -> None:
    """It is down until its repair, its replica until then or until a spare stands in: idle power for the rest."""
    spares = {} if swap_s is None else {"spares": 1, "swap_s": swap_s}
    spec = pool(replicas=1, gpus_per_server=1, owned=True, reliability=Reliability(known=known), **spares)
    found, always = used(spec), used(replace(spec, reliability=Reliability()))
    (servers,) = found.servers
    assert servers.on_s_by_hour.sum() == 100.0
    assert servers.down_s_by_hour.sum() == pytest.approx(down_s)
    assert servers.running_s_by_hour.sum() == servers.held_gpu_s_by_hour.sum() == pytest.approx(running_s)
    joules = [float(one.pools[0].energy_by_hour_j.sum()) for one in (found, always)]
    assert joules[1] - joules[0] == pytest.approx((100.0 - running_s) * WATTS[0])


FAILED = (Stay(0, 0, "serving", 0.0, 1.5 * HOUR_S), Stay(0, 0, "down", 1.5 * HOUR_S, 2 * HOUR_S))
KIND = replace(PLAIN_SERVER, host_kw=2.0, gpu_idle_kw=0.1)


def half_down() -> Usage:
    """One replica on 4 of 8 GPUs, whose server fails for the last half hour of two."""
    there = replace(
        servers(1, ["pool"]),
        down_s_by_hour=np.array([0.0, 0.5 * HOUR_S]),
        running_s_by_hour=np.array([HOUR_S, 0.5 * HOUR_S]),
        held_gpu_s_by_hour=np.array([4 * HOUR_S, 2 * HOUR_S]),
    )
    return Usage(2 * HOUR_S, (pool_used(stays=FAILED),), (), (there,))


@pytest.mark.parametrize(
    ("off_when_empty", "host_kwh", "unused_kwh"),
    [(False, 2.0 * (2 * 730 - 182.5), 0.1 * (8 * 1277.5 - 4 * 547.5)), (True, 2.0 * 547.5, 0.1 * 4 * 547.5)],
)
def test_all_servers_are_on_but_for_repairs_unless_empty_ones_are_off(
    off_when_empty: bool, host_kwh: float, unused_kwh: float
) -> None:
    """Two servers, one of them a spare: 1,460 server-hours a month, of which a quarter of 730 are a repair."""
    place = replace(FREE, pue=1.5, electricity_usd_per_kwh=(0.1, 0.3) * 12, co2_kg_per_kwh=(0.2, 0.4) * 12)
    site = owned(server=KIND, facility=place, spares=1, off_when_empty=off_when_empty)
    terms = Terms("own", owned=(site,), months=12)
    agree(terms, [month(half_down())] * 12)
    lines = {line.part: line for line in bill_study(terms, [month(half_down())] * 12).lines if line.unit == "kWh"}
    assert lines["hosts"].quantity == pytest.approx(host_kwh * 1.5)
    assert lines["unused"].quantity == pytest.approx(unused_kwh * 1.5)
    # hours from 00:00 at 0.1 and from 01:00 at 0.3 USD; the second has half an hour less
    on, free = ((1, 0.5), (4, 2)) if off_when_empty else ((2, 1.5), (12, 10))
    assert lines["hosts"].usd == pytest.approx(365 * 2.0 * 1.5 * (0.1 * on[0] + 0.3 * on[1]))
    assert lines["unused"].usd == pytest.approx(365 * 0.1 * 1.5 * (0.1 * free[0] + 0.3 * free[1]))
    (energy,) = study_energy(terms, [month(half_down())] * 12)
    assert energy.kwh == pytest.approx(math.fsum(line.quantity for line in lines.values()))
    gpus = 4 * 0.5 * (0.2 + 0.4)  # kg in two hours: the ledger of the pool has 500 W a GPU in both
    others = (on[0] * 2.0 + free[0] * 0.1) * 0.2 + (on[1] * 2.0 + free[1] * 0.1) * 0.4
    assert energy.co2_kg == pytest.approx(365 * 1.5 * (gpus + others))


def test_servers_that_a_fleet_no_longer_needs_stay_on() -> None:
    """Three servers in month 1 and one from month 2 on: the other two draw on, with all of their GPUs."""
    many = Usage(2 * HOUR_S, (pool_used(stays=fixed(3), gpus=8),), (), (servers(3, ["pool"]),))
    few = Usage(2 * HOUR_S, (pool_used(stays=fixed(1), gpus=8),), (), (servers(1, ["pool"]),))
    place = replace(FREE, electricity_usd_per_kwh=(0.1,))
    terms = Terms("own", owned=(owned(server=KIND, facility=place),), months=3)
    use = [month(many), month(few), month(few)]
    agree(terms, use)
    usd = [{line.part: line.usd for line in bill.lines if line.unit == "kWh"} for bill in bill_study(terms, use).months]
    assert [one["hosts"] for one in usd] == pytest.approx([3 * 2.0 * 730 * 0.1] * 3)
    assert [one.get("unused", 0.0) for one in usd] == pytest.approx([0.0, *[16 * 0.1 * 730 * 0.1] * 2])


def test_hours_in_which_nothing_runs_draw_nothing() -> None:
    """An event stops all for 73 hours of its month: a tenth less of each part."""
    served = Served(True, 1.0, "", (half_down(),), (Tokens(1.0, 1.0, 1.0, 1.0),), spare_share=0.5)
    period = Period("all", 730.0)
    walked = Walked(1, (), (), True, 1.0, "", (Share(730.0, period, served),))
    terms = Terms("own", owned=(owned(server=KIND, facility=replace(FREE, electricity_usd_per_kwh=(0.1,))),), months=1)
    usd = []
    for one in (walked, with_downtime(walked, "move", 73.0)):
        lines = bill_study(terms, month_uses([one])).lines
        usd.append({line.part: line.usd for line in lines if line.unit == "kWh"})
    assert usd[1] == pytest.approx({part: 0.9 * amount for part, amount in usd[0].items()})


@pytest.mark.parametrize(
    ("gpu", "sets", "watts"),
    [
        ("h100-sxm", (), 100.0),
        ("a100-80", (), 100 * 400 / 700),
        ("l40s", (), 35.0),
        ("h200", (), 80.3),
        ("h100-sxm", ("cost.overrides.power.h100_bare_idle_w=70",), 70.0),
        ("h100-sxm", ("engine.gpu_power={serving_w: 700, idle_w: 60}",), 60.0),
        ("h100-sxm", ("servers=[{name: s, site: datacentre, gpu_idle_w: 45}]",), 45.0),
    ],
)
def test_draw_of_a_gpu_without_a_model(gpu: str, sets: tuple[str, ...], watts: float) -> None:
    loaded = load_scenario(SCENARIO, sets=[f"topologies.own.pools[0].gpu={gpu}", *sets])
    planned = next(one for one in plan_topologies(loaded) if one.name == "own")
    (site,) = resolve_terms(planned).terms.owned
    assert site.server.gpu_idle_kw == pytest.approx(watts / 1000)
    assert not site.off_when_empty
