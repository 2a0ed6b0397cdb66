"""A rented machine that its provider loses is not paid for until another is launched, whatever took it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from agreement import agree
from bill_cases import HOUR_S, month, owned, rented
from fleet_cases import classes, evenly, fleet, pool

from simulator.bill.stays import rentals_s
from simulator.bill.study import bill_study
from simulator.bill.sums import total_usd
from simulator.decide.break_even import against
from simulator.decide.costed import Costed
from simulator.fleet.simulate import FleetRun, simulate_fleet
from simulator.fleet.single import RequestList
from simulator.metrics.laws import check_gpu_seconds, check_stays
from simulator.size.instances import replica_hours
from simulator.study.bill import Bill
from simulator.study.fleet import ColdStart, Outages, PoolSpec, Reliability
from simulator.study.terms import Commitment, Terms

USD = 10.0
COLD = ColdStart(60.0, 30.0, 20.0, 10.0)
TWO = pool("pool", replicas=2, gpus_per_server=1, cold_start=COLD)
HALF = (0.25 * HOUR_S, 0.75 * HOUR_S)


def run(spec: PoolSpec) -> FleetRun:
    """An hour of two replicas."""
    served = fleet((spec,), classes=classes(1))
    found = simulate_fleet(
        served,
        RequestList(evenly(1, 1.0)),
        horizon_s=HOUR_S,
        drain_s=10.0,
        warmup_s=0.0,
        seed=3,
        sink=lambda records: None,
        sample_s=HOUR_S,
    )
    check_stays(found.usage, served)
    check_gpu_seconds(found.usage.pools[0])
    return found


def lines(found: FleetRun, **terms: Any) -> Bill:
    offer = rented(usd=USD, gpus_per_instance=1, **terms)
    agree(Terms("cloud", rented=(offer,), months=1.0), [month(found.usage)])
    return bill_study(Terms("cloud", rented=(offer,), months=1.0), [month(found.usage)])


def usd(bill: Bill) -> float:
    return float(total_usd(bill.lines))


def test_a_failed_instance_and_a_zone_that_is_down_end_the_bill_alike() -> None:
    """Two instances at $10 an hour for 730 h are $14,600; one that is away for half of it is 1.5 of 2, $10,950."""
    assert usd(lines(run(TWO))) == pytest.approx(14_600.0)
    failed = run(replace(TWO, reliability=Reliability(known=(HALF,))))
    assert usd(lines(failed)) == pytest.approx(10_950.0)
    one = replace(TWO, replicas=1)
    by_failure, by_zone = (
        usd(lines(run(replace(one, **fault))))
        for fault in ({"reliability": Reliability(known=(HALF,))}, {"outages": Outages(windows=(HALF,))})
    )
    assert by_failure == by_zone == pytest.approx(3_650.0)


def test_the_part_down_is_of_owned_servers_alone() -> None:
    found = run(replace(TWO, reliability=Reliability(known=(HALF,))))
    assert found.usage.pools[0].down_s == pytest.approx(HOUR_S / 2)
    assert "down" not in {line.part for line in lines(found).lines}
    mine = run(replace(TWO, owned=True, gpu="h100-sxm", site="here", reliability=Reliability(known=(HALF,))))
    site = owned(server=replace(owned().server, gpus=1))
    assert "down" in {
        line.part for line in bill_study(Terms("own", owned=(site,), months=1.0), [month(mine.usage)]).lines
    }


def costed(spec: PoolSpec, price: float, *committed: Commitment) -> Costed:
    offer = rented(usd=price, gpus_per_instance=1, commitments=committed)
    found, terms = run(spec), Terms("one", rented=(offer,), months=1.0)
    return Costed("one", terms, (), (month(found.usage),), bill_study(terms, [month(found.usage)]), ())


@pytest.mark.parametrize(
    ("fault", "hours"),
    [({}, 8.0), ({"reliability": Reliability(known=(HALF,))}, 16.0), ({"outages": Outages(windows=(HALF,))}, 16.0)],
    ids=["nothing", "a failure", "an outage"],
)
def test_hours_of_use_are_those_of_machines_that_are_lost_alike(fault: dict[str, Any], hours: float) -> None:
    """$5 an hour under commitment beside $15 in the hours of use: 8 hours a day, and 16 if half of that is not paid."""
    spec = replace(TWO, replicas=1, **fault)
    found = against(costed(spec, 15.0, Commitment(5.0, 1, 1)), costed(spec, 15.0))
    assert found.hours_per_day == pytest.approx(hours)


def test_hours_of_use_are_not_asked_of_a_pool_that_is_not_there_all_the_time() -> None:
    """Of three quarters of an hour at zero replicas half an hour is an outage."""
    found = run(replace(TWO, replicas=1, outages=Outages(windows=(HALF,))))
    (pool_,) = found.usage.pools
    late = replace(found.usage, pools=(replace(pool_, stays=pool_.stays[:-1]),))
    terms = Terms("one", rented=(rented(usd=10.0, gpus_per_instance=1),), months=1.0)
    whole, part = (
        Costed("one", terms, (), (month(usage),), bill_study(terms, [month(found.usage)]), ())
        for usage in (found.usage, late)
    )
    assert against(whole, whole).hours_per_day is not None
    assert against(part, part).hours_per_day is None


def test_instances_are_chosen_for_the_replicas_that_are_wanted() -> None:
    """Two all the time, also while the machine of one is away."""
    found = run(replace(TWO, reliability=Reliability(known=(HALF,))))
    assert replica_hours("pool", [(730.0, [found.usage])]) == pytest.approx({2: 1.0})


def test_its_replacement_is_another_rental_with_a_minimum_of_its_own() -> None:
    """Fails at 15 min, is replaced at 30 min, fails at 35 min, is replaced at 55 min: the second lasted 5 of at least
    10 minutes. 15 + 10 + 5 of 60 minutes are half of $7,300."""
    twice = ((0.25 * HOUR_S, 0.5 * HOUR_S), (35 * 60.0, 55 * 60.0))
    found = run(replace(TWO, replicas=1, reliability=Reliability(known=twice)))
    assert [(start, end) for start, end, _ in rentals_s(found.usage.pools[0])] == [
        (0.0, 900.0),
        (1800.0, 2100.0),
        (3300.0, 3600.0),
    ]
    assert usd(lines(found, minimum_s=600.0)) == pytest.approx(3_650.0)


def test_a_commitment_is_paid_while_the_machine_is_away() -> None:
    found = run(replace(TWO, replicas=1, reliability=Reliability(known=(HALF,))))
    bill = lines(found, commitments=(Commitment(6.0, 1, 1),))
    assert usd(bill) == pytest.approx(6.0 * 730.0)
    unused = sum(float(line.usd) for line in bill.lines if line.part == "unused")
    assert unused == pytest.approx(3.0 * 730.0), "half of the time without a machine"


def test_of_a_replica_on_two_instances_the_one_that_works_stays_rented() -> None:
    """One of two is away for half an hour: 1.5 of 2 instances at $10 for 730 h, a third of which waits."""
    spec = replace(TWO, replicas=1, gpus_per_replica=2, reliability=Reliability(known=(HALF,)))
    bill = lines(run(spec))
    assert usd(bill) == pytest.approx(10_950.0)
    assert sum(float(line.usd) for line in bill.lines if line.part == "down") == pytest.approx(10_950.0 / 3)
