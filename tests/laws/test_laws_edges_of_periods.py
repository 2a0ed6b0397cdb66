"""What crosses the edge of a period is paid and counted once: in the period in which it is used."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from bill_cases import API, FREE, PLAIN_SERVER, owned, rented
from fleet_cases import classes, evenly, fleet, pool, provider

from simulator.bill.energy import study_energy
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.fleet.simulate import simulate_fleet
from simulator.fleet.single import RequestList
from simulator.study.bill import MonthUse, PeriodUse
from simulator.study.fleet import Reliability
from simulator.study.terms import Tax, Terms
from simulator.study.usage import Usage

END_S = 120.0
FAULTS = Reliability(known=((30.0, 50.0), (70.0, 95.0)))
SHARED = {"gpus_per_server": 2, "gpu": "h100-sxm", "reliability": FAULTS}
SPEC = fleet(
    (
        pool("own", replicas=3, owned=True, spares=1, swap_s=4.0, site="here", **SHARED),
        pool("rent", replicas=2, site="there", **SHARED),
    ),
    (provider(),),
    classes=classes(3),
)
PLACE = replace(FREE, pue=1.3, electricity_usd_per_kwh=(0.2,), co2_kg_per_kwh=(0.4,), co2_usd_per_tonne=90.0)
KIND = replace(PLAIN_SERVER, gpus=2, host_kw=1.0, gpu_idle_kw=0.1)
TERMS = Terms(
    "all",
    owned=(owned(("own",), KIND, site="here", facility=PLACE, spares=1),),
    rented=(rented("rent", site="there", gpus_per_instance=2, minimum_s=45.0, granularity_s=10.0),),
    apis=(API,),
    taxes=(Tax("vat", 0.1),),
    months=1,
)


@cache
def used(start_s: float, end_s: float, drain_s: float = 60.0) -> Usage:
    """Requests come every fifth of a second, and answers take seconds, so that some are always under way."""
    return simulate_fleet(
        SPEC,
        RequestList(evenly(int(5 * END_S), 0.2, isl=20, osl=40)),
        horizon_s=end_s,
        drain_s=drain_s,
        warmup_s=start_s,
        seed=3,
        sink=lambda records: None,
        sample_s=end_s,
    ).usage


def month(*cuts: float) -> MonthUse:
    """Of the periods between these times, by their length."""
    edges = pairwise((0.0, *cuts, END_S))
    return MonthUse(tuple(PeriodUse(used(a, b), 730.0 * (b - a) / END_S) for a, b in edges))


@pytest.mark.parametrize("cuts", [(60.0,), (31.0,), (48.5, 71.0)])
def test_a_month_costs_what_its_periods_cost_together(cuts: tuple[float, ...]) -> None:
    """However it is cut: between requests, calls and rentals under way, within a failure and a repair."""
    parts, whole = (bill_study(TERMS, [use]) for use in (month(*cuts), month()))
    assert {(line.owner, line.category, line.part): float(line.usd) for line in parts.lines} == pytest.approx(
        {(line.owner, line.category, line.part): float(line.usd) for line in whole.lines}
    )
    assert float(total_usd(parts.lines)) > 0
    assert [one.kwh for one in study_energy(TERMS, [month(*cuts)])] == pytest.approx(
        [one.kwh for one in study_energy(TERMS, [month()])]
    )
    tokens = [sum(one.usage.delivered_tokens for one in use.periods) for use in (month(*cuts), month())]
    assert tokens[0].tolist() == tokens[1].tolist()


def test_what_a_drain_gives_is_neither_paid_nor_counted() -> None:
    """Answers that end after the last period belong to no month, with what they cost, however long they are let end."""
    short, long = used(0.0, END_S, 0.0), used(0.0, END_S, 300.0)
    assert short.delivered_tokens.tolist() == long.delivered_tokens.tolist()
    months = [MonthUse((PeriodUse(usage, 730.0),)) for usage in (short, long)]
    assert bill_study(TERMS, months[:1]).lines == bill_study(TERMS, months[1:]).lines
