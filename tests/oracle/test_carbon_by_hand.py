"""A price of CO2 on the electricity of one's own servers: a line of its own, by the hour and month of the grid."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from agreement import agree
from bill_cases import FREE, HOUR_S, PLAIN_SERVER, fixed, month, owned, pool, rented, servers

from simulator.bill.energy import study_energy
from simulator.bill.study import bill_study
from simulator.decide.flips import ASSUMPTIONS
from simulator.resolve.idle_terms import idle_warnings
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import load_scenario
from simulator.study.bill import Bill
from simulator.study.terms import Facility, Tax, Terms
from simulator.study.usage import Usage

SCENARIO = Path(__file__).resolve().parents[1] / "data/scenarios/dashboard.yaml"
KIND = replace(PLAIN_SERVER, host_kw=2.0)
PLACE = replace(FREE, pue=1.5, co2_kg_per_kwh=(0.2, 0.4) * 12, co2_usd_per_tonne=100.0)
USED = month(Usage(2 * HOUR_S, (pool(stays=fixed(1)),), (), (servers(1, ["pool"]),)))


def terms(place: Facility = PLACE, **changes: object) -> Terms:
    return replace(Terms("own", owned=(owned(server=KIND, facility=place),), months=12), **changes)  # type: ignore[arg-type]


def carbon(bill: Bill) -> dict[str, tuple[float, float]]:
    """Tonnes and USD of each part."""
    return {line.part: (line.quantity, float(line.usd)) for line in bill.lines if line.category == "carbon"}


def billed(agreed: Terms) -> Bill:
    months = [USED] * math.ceil(agreed.months)
    agree(agreed, months)
    return bill_study(agreed, months)


def test_tonnes_by_the_hour_at_their_price() -> None:
    """Four GPUs of 500 W, and a host of 2 kW: each 2 kWh an hour, at 0.2 and 0.4 kg, are 1.2 kg in two hours."""
    found = carbon(billed(terms()))
    tonnes = 365 * 1.2 * 1.5 / 1000
    assert found == {part: pytest.approx((tonnes, 100 * tonnes)) for part in ("gpus", "hosts")}
    (energy,) = study_energy(terms(), [USED] * 12)
    assert energy.co2_kg == pytest.approx(1000 * sum(found[part][0] for part in found))


@pytest.mark.parametrize("place", [replace(PLACE, co2_usd_per_tonne=0.0), replace(PLACE, co2_kg_per_kwh=())])
def test_no_price_or_no_known_grid_is_no_line(place: Facility) -> None:
    assert not carbon(billed(terms(place)))


def test_months_differ_with_their_grid() -> None:
    """December, January and half of February at 1,100, 0 and 100 g: 0.5 * (1.1 + 0 + 0.05) / 2.5 of 2,190 kWh * 2."""
    grid = tuple(0.1 * number for number in range(12) for _ in range(24))
    agreed = terms(replace(PLACE, co2_kg_per_kwh=grid), months=2.5, first_month=12)
    found = billed(agreed)
    kwh = 730 * 2 * 1.5
    by_month = [{line.part: line.usd for line in one.lines if line.category == "carbon"} for one in found.months]
    assert [one.get("hosts", 0.0) for one in by_month] == pytest.approx([0.1 * 1.1 * kwh, 0.0, 0.1 * 0.1 * kwh])
    assert carbon(found)["gpus"][1] == pytest.approx(0.1 * kwh * (1.1 + 0.0 + 0.5 * 0.1) / 2.5)


def test_an_event_changes_the_price_and_a_tax_may_be_on_it() -> None:
    site = owned(server=KIND, facility=PLACE)
    dearer = replace(site, facility=replace(PLACE, co2_usd_per_tonne=250.0), span=replace(site.span, first=7))
    agreed = terms(owned=(replace(site, later=(dearer,)),), taxes=(Tax("levy", 0.1, ("carbon",)),))
    usd = [sum(line.usd for line in one.lines) for one in billed(agreed).months]
    plain = [sum(line.usd for line in one.lines) for one in billed(replace(terms(owned=agreed.owned))).months]
    tonnes = 2 * 365 * 1.2 * 1.5 / 1000
    assert [a - b for a, b in zip(usd, plain, strict=True)] == pytest.approx([10 * tonnes] * 6 + [25 * tonnes] * 6)


def test_the_price_moves_as_an_assumption() -> None:
    change, applies = ASSUMPTIONS["price of CO2"]
    one, two = carbon(billed(terms())), carbon(billed(change(terms(), 2.0)))
    assert {part: usd for part, (_, usd) in two.items()} == pytest.approx({part: 2 * one[part][1] for part in one})
    assert applies(terms())
    assert not applies(terms(FREE))
    assert not applies(Terms("cloud", rented=(rented(),)))


@pytest.mark.parametrize(
    ("sets", "usd", "kg"),
    [
        ((), 0.0, None),
        (("cost.co2_usd_per_tonne=80",), 80.0, None),
        (("cost.co2_usd_per_tonne=80", "servers=[{name: s, site: datacentre, co2_usd_per_tonne: 0}]"), 0.0, None),
        (("servers=[{name: s, site: datacentre, co2_usd_per_tonne: 45, co2_kg_per_kwh: 0.03}]",), 45.0, 0.03),
    ],
)
def test_who_says_the_price_and_what_it_is_on(sets: tuple[str, ...], usd: float, kg: float | None) -> None:
    planned = {one.name: one for one in plan_topologies(load_scenario(SCENARIO, sets=list(sets)))}
    (site,) = resolve_terms(planned["own"]).terms.owned
    assert site.facility.co2_usd_per_tonne == usd
    assert len(site.facility.co2_kg_per_kwh) == 288 if kg is None else site.facility.co2_kg_per_kwh == (kg,)
    bare = {one.name: one for one in plan_topologies(load_scenario(SCENARIO))}
    for name in ("cloud", "api"):
        assert resolve_terms(planned[name]).terms == resolve_terms(bare[name]).terms


def test_a_price_that_is_on_nothing_is_said() -> None:
    loaded = load_scenario(SCENARIO, sets=["cost.co2_usd_per_tonne=80"])
    found = {one.name: resolve_terms(one) for one in plan_topologies(loaded)}
    assert not idle_warnings(loaded.scenario, found)
    only = loaded.only("cloud")
    told = "cost.co2_usd_per_tonne: without effect, as no topology owns servers"
    assert idle_warnings(only.scenario, {"cloud": found["cloud"]}) == [told]
