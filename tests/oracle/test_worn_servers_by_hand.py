"""Servers at the end of their life are bought again where they are needed then: bills and payments by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from agreement import agree, second_bill
from bill_cases import HOUR_S, SERVER, fixed, month, owned, pool, servers
from scenario_cases import written
from test_events import SCENARIO

from simulator.bill.hardware import hardware_payments_usd
from simulator.bill.owned import servers_by_month
from simulator.bill.purchases import Lot, lots
from simulator.bill.study import bill_study
from simulator.run.simulate import simulate
from simulator.study.bill import MonthUse
from simulator.study.terms import Span, Terms
from simulator.study.usage import Usage

YEARLY = replace(
    SERVER,
    capex_usd=120_000.0,
    network_storage_share=0.0,
    install_usd=0.0,
    life_years=1.0,
    residual_share=0.1,
    resale_share_by_age=(),
)
SITE = owned(("chat",), YEARLY, spares=0)


def uses(needed: list[int]) -> list[MonthUse]:
    return [month(Usage(2 * HOUR_S, (pool("chat", stays=fixed(n)),), (), (servers(n, ["chat"]),))) for n in needed]


@pytest.mark.parametrize(
    ("needed", "there", "paid"),
    [
        # three for a year; two are bought again, and sold after another
        ([3] * 6 + [2] * 18, [3] * 12 + [2] * 12, {0: 3 * 120.0, 12: 2 * 108.0 - 12.0, 24: -24.0}),
        # none is needed any more
        ([2] * 12 + [0] * 12, [2] * 12 + [0] * 12, {0: 240.0, 12: -24.0}),
        # the one that comes in month 7 stands until month 18, so none of the two is needed in month 13; one is in 19
        ([2] * 6 + [3] * 3 + [1] * 15, [2] * 6 + [3] * 6 + [1] * 12, {0: 240.0, 6: 120.0, 12: -24.0, 18: 108.0}),
        # as many as before, and one more that comes with them
        ([1] * 12 + [2] * 12, [1] * 12 + [2] * 12, {0: 120.0, 12: 108.0 + 120.0, 24: -24.0}),
        # given back in month 13, and bought in month 15, when it is needed again
        ([2] * 10 + [1] * 4 + [2] * 10, [2] * 12 + [1] * 2 + [2] * 10, {0: 240.0, 12: 108.0 - 12.0, 14: 120.0}),
    ],
)
def test_servers_and_payments_follow_what_is_needed(
    needed: list[int], there: list[int], paid: dict[int, float]
) -> None:
    """$120,000 each, which a year later bring $12,000; of what stands at the end a share by its age."""
    found = servers_by_month(SITE, needed)
    assert [one.bought for one in found] == there
    at = np.arange(25.0)
    usd = np.array(hardware_payments_usd(SITE, found, 24.0, at)) / 1000
    expected = np.zeros(25)
    for when, amount in paid.items():
        expected[when] = amount
    assert usd[:24] == pytest.approx(expected[:24])
    if 24 in paid:
        assert usd[24] == pytest.approx(paid[24])


def test_the_bill_of_each_month_is_that_of_what_stands() -> None:
    """At no interest a server costs (120,000 - 12,000) / 12 = $9,000 a month."""
    needed = [3] * 6 + [2] * 18
    bill = bill_study(Terms("own", owned=(SITE,), months=24.0), uses(needed))
    hardware = [sum(float(line.usd) for line in one.lines if line.category == "hardware") for one in bill.months]
    assert hardware == pytest.approx([27_000.0] * 12 + [18_000.0] * 12)
    agree(Terms("own", owned=(SITE,), months=24.0), uses(needed))


def test_a_span_that_begins_later_counts_lives_from_there() -> None:
    site = replace(SITE, span=Span(4, 20))
    assert lots(site, [0] * 3 + [2] * 4 + [1] * 13 + [0] * 4) == [Lot(3, 1, 15), Lot(3, 1)]
    assert [one.bought for one in servers_by_month(site, [9] * 3 + [2] * 4 + [1] * 13 + [9] * 4)] == (
        [0] * 3 + [2] * 12 + [1] * 5 + [0] * 4
    )


def test_of_lives_by_draw_the_mean_decides_what_is_given_up() -> None:
    """A life of 10 or 14 months: at month 13 one server is not needed. In the one draw it is three months old then."""
    kind = replace(YEARLY, life_years=np.array([10 / 12, 14 / 12]))
    site = replace(SITE, server=kind)
    found = servers_by_month(site, [2] * 6 + [1] * 6 + [1] * 8)
    assert [one.bought for one in found] == [2] * 12 + [1] * 8
    usd = np.stack(np.broadcast_arrays(*hardware_payments_usd(site, found, 20.0, np.arange(21.0)))) / 1000
    assert usd[0] == pytest.approx([240.0, 240.0])
    assert usd[10] == pytest.approx([2 * 108.0, 0.0])
    assert usd[12] == pytest.approx([-(120.0 - 108.0 * 2 / 10), -(120.0 - 108.0 * 12 / 14)])
    assert usd[14] == pytest.approx([0.0, 108.0])


FALLING = (
    "engine.max_num_seqs=2",
    "topologies.own.pools[base].replicas=auto",
    "topologies.own.servers[old].gpus_per_server=1",
    "topologies.own.servers[old].life_years=1",
    "study.months=18",
)


@pytest.mark.parametrize("hardware", ["null", "{name: our card, bandwidth_gb_per_s: 3000}"])
def test_open_sizes_follow_a_load_that_falls_from_the_end_of_the_first_life_on(hardware: str, tmp_path: Path) -> None:
    """A third of the load from month 7 on: its servers stand until month 12, and those that are needed come again.

    A study at that load alone needs as many; so a server costs the same in each month. A card of one's own stands in
    servers that are called by its relative.
    """
    sets = (*FALLING, f"topologies.own.pools[base].hardware={hardware}")
    falls = "load_steps: [{from_month: 7, load: 0.3}]"
    found = simulate(written(tmp_path, SCENARIO.replace("EVENTS", falls), *sets), tmp_path)
    light = simulate(
        written(tmp_path, SCENARIO.replace("EVENTS", "load_steps: [{from_month: 1, load: 0.3}]"), *sets), tmp_path
    )
    months = found.decision["topologies"]["own"]["months"]
    first, later = (one.decision["topologies"]["own"]["months"][0]["replicas"][0] for one in (found, light))
    assert later < first
    assert [one["replicas"] for one in months] == [[first]] * 12 + [[later]] * 6
    assert [one["servers"] for one in months] == [first] * 12 + [later] * 6
    assert all(one["meets"] for one in months)
    stands = [one["usd"] for one in light.decision["topologies"]["own"]["months"]]
    assert [one["usd"] for one in months[12:]] == pytest.approx(stands[12:])
    bill = second_bill(found.bundle, "own").mean_lines()
    assert sum(row["usd"] for row in bill) == pytest.approx(found.summary["topologies"]["own"]["cost"]["usd_per_month"])


@pytest.mark.parametrize(
    ("event", "last"),
    [
        # servers of another GPU, of a life of a year, too
        (
            "name: refresh, change: {pools: [{name: base, gpu: h200}], servers: [{name: new, site: datacentre, "
            "gpu: h200, capex_usd: 100000, gpus_per_server: 1, life_years: 1}]}",
            15,
        ),
        # the same servers go on
        ("name: rules, change: {pools: [{name: base, routing: round_robin}]}", 12),
    ],
)
def test_servers_of_an_event_are_at_the_end_of_their_life_a_life_after_it(
    event: str, last: int, tmp_path: Path
) -> None:
    """In month 4, before the load falls in month 7: those that come then stand until month 15."""
    falls = f"load_steps: [{{from_month: 7, load: 0.3}}], events: [{{from_month: 4, topology: own, {event}}}]"
    found = simulate(written(tmp_path, SCENARIO.replace("EVENTS", falls), *FALLING), tmp_path)
    replicas = [one["replicas"][0] for one in found.decision["topologies"]["own"]["months"]]
    assert replicas[3:last] == [replicas[3]] * (last - 3)
    assert replicas[last:] == [replicas[-1]] * (18 - last)
    assert replicas[-1] < replicas[3]


def test_servers_that_growth_bought_stand_for_a_life_of_their_own(tmp_path: Path) -> None:
    """Those that come in month 4, of a life of a year, stand until month 15, when the load has long fallen.

    In month 13 so many of the first are bought again as the month needs beside them, none if they are enough.
    """
    low = "{from_month: 1, load: 0.3}, {from_month: 4, load: 6.0}, {from_month: 7, load: 0.3}"
    found = simulate(written(tmp_path, SCENARIO.replace("EVENTS", f"load_steps: [{low}]"), *FALLING), tmp_path)
    months = found.decision["topologies"]["own"]["months"]
    few, many = (months[k]["replicas"][0] for k in (0, 3))
    assert many - few > few
    assert [one["replicas"][0] for one in months] == [few] * 3 + [many] * 9 + [many - few] * 3 + [few] * 3
    assert [one["servers"] for one in months] == [one["replicas"][0] for one in months]
    bill = second_bill(found.bundle, "own").mean_lines()
    assert sum(row["usd"] for row in bill) == pytest.approx(found.summary["topologies"]["own"]["cost"]["usd_per_month"])


def test_an_event_that_frees_a_server_leaves_it_to_the_end_of_its_life(tmp_path: Path) -> None:
    sets = (*FALLING[2:], "topologies.own.pools[base].replicas=3")
    event = "events: [{name: fewer, from_month: 5, topology: own, change: {pools: [{name: base, replicas: 2}]}}]"
    found = simulate(written(tmp_path, SCENARIO.replace("EVENTS", event), *sets), tmp_path)
    months = found.decision["topologies"]["own"]["months"]
    assert [one["servers"] for one in months] == [3] * 12 + [2] * 6
    assert months[12]["usd"] < months[11]["usd"] - 100_000 / 12 * 0.9
