"""Any study, owned, rented, called or mixed, by month: a price of zero, a copy, other names and twice of all of it."""

from __future__ import annotations

import re
from collections import defaultdict
from random import Random
from typing import Any

import pytest
from money_scenarios import courses, scenario
from parts import few

from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

Row = dict[str, Any]
Lines = dict[tuple[str, ...], float]
RENT = ("price_usd_per_gpu_hour", "price_by_hour_usd_per_gpu_hour", "on_demand_usd_per_gpu_hour")
POWER = ("electricity_usd_per_kwh", "electricity_by_hour_usd_per_kwh")
PRICES: dict[tuple[str, ...], set[str]] = {
    ("capex_usd",): {"hardware", "network and storage", "maintenance"},
    ("install_usd",): {"installation"},
    ("space_usd_per_kw_month",): {"space"},
    ("network_usd_per_month",): {"facility network"},
    POWER: {"electricity"},
    ("co2_usd_per_tonne",): {"carbon"},
    ("usd_per_fte_year",): {"staff"},
    RENT: {"on demand", "spot", "committed"},
    ("egress_usd_per_gb",): {"egress"},
    ("storage_usd_per_gb_month",): {"storage"},
    ("input", "cached_input", "cache_write", "output"): {"tokens", "flex tokens", "priority tokens", "failed calls"},
    ("fixed_usd_per_month",): {"flat fee"},
    ("usd_per_unit_hour",): {"provisioned throughput", "committed throughput"},
    ("usd_once", "usd_per_month", "usd_per_replica_month", "usd_per_gpu_month", "usd_per_million_requests"): {
        "licence"
    },
}
FOLLOWS = {"change-0", "change-1", "support", "vat", "levy", "service credit", "minimum spend"}
"""What events cost once, shares of other lines, what is given back of them, and what they lack of a spend.

So does the loss on servers that are sold early, which has both purchase and installation in it.
"""


def lines_of(text: Row) -> dict[str, Lines]:
    """By owner, category, part and site; commitments of all terms are `committed`."""
    found: dict[str, Lines] = {}
    for name, course in courses(text).items():
        lines: dict[tuple[str, ...], float] = defaultdict(float)
        for one in course.priced.bill.lines:
            category = "committed" if re.fullmatch(r"committed \d+ months?", one.category) else one.category
            lines[one.owner, category, one.part, one.site] += float(one.usd)
        found[name] = dict(lines)
    return found


def at_zero(text: Any, keys: tuple[str, ...]) -> Any:
    """The scenario with these prices at zero; shares of a tier and weights of a limit stay."""
    if isinstance(text, list):
        return [at_zero(one, keys) for one in text]
    if not isinstance(text, dict):
        return text
    return {
        key: value
        if key in ("price_factor", "limit_weights")
        else ([0.0] * len(value) if isinstance(value, list) else 0.0)
        if key in keys and isinstance(value, int | float | list)
        else at_zero(value, keys)
        for key, value in text.items()
    }


@pytest.mark.parametrize("seed", few(range(300, 320), 302))
def test_a_price_of_zero_removes_its_lines_and_no_others(seed: int) -> None:
    random = Random(seed)
    text = scenario(random)
    there = lines_of(text)
    for keys, gone in random.sample(sorted(PRICES.items()), 4):
        for name, lines in lines_of(at_zero(text, keys)).items():
            assert not {line[1] for line, usd in lines.items() if usd} & gone, keys
            before, after = (
                {line: usd for line, usd in one.items() if line[1] not in gone | FOLLOWS and line[2] != "sold early"}
                for one in (there[name], lines)
            )
            assert after == pytest.approx(before), keys


def renamed(text: Row) -> Row:
    """The same study under other names and in another order."""
    names = {"own": "zz", "rent": "b", "api": "y", "hybrid": "a"}
    events = [one | {"topology": names[one["topology"]]} for one in text["study"].get("events", [])]
    turned = {
        names[name]: {
            key: value[::-1] if key in ("pools", "providers", "servers") else value for key, value in topology.items()
        }
        for name, topology in reversed(text["topologies"].items())
    }
    study = text["study"] | ({"events": events} if events else {})
    return text | {"topologies": turned, "study": study}


@pytest.mark.parametrize("seed", few(range(340, 354), 341))
def test_order_and_names_of_topologies_and_pools_change_no_line(seed: int) -> None:
    text = scenario(Random(seed))
    names = {"own": "zz", "rent": "b", "api": "y", "hybrid": "a"}
    other = lines_of(renamed(text))
    for name, lines in lines_of(text).items():
        mine = {tuple(names.get(word, word) for word in line): usd for line, usd in lines.items()}
        assert other[names[name]] == pytest.approx(mine, rel=1e-9, abs=1e-9)


def beside(text: Row) -> Row:
    """The same study with servers of a second GPU at each site of one's own, whose network one of the two names."""
    topologies = dict(text["topologies"])
    for name, topology in topologies.items():
        mine = [pool for pool in topology.get("pools", []) if pool.get("billing") == "owned"]
        if mine:
            other = mine[0] | {"name": "beside", "gpu": "l40s", "tensor_parallel_size": 1}
            wire = {"name": "wire", "site": "datacentre", "gpu": "l40s", "network_usd_per_month": 333.0}
            first = topology["servers"][0] | {"network_usd_per_month": None}
            topologies[name] = topology | {"pools": [*topology["pools"], other], "servers": [first, wire]}
    study = {key: value for key, value in text["study"].items() if key != "events"}
    return text | {"topologies": topologies, "study": study}


@pytest.mark.parametrize("seed", few((341, 342, 343, 346, 349, 350, 352, 354, 357, 358), 341))
def test_order_of_pools_on_one_site_moves_no_sum_of_two_gpus(seed: int) -> None:
    """Each GPU has its lines; the network is one line, of whichever stands there first."""
    text = beside(scenario(Random(seed)))
    there, other = lines_of(text), lines_of(renamed(text))
    assert any("datacentre/l40s" in line for lines in there.values() for line in lines)
    for name, mine in {"own": "zz", "rent": "b", "api": "y", "hybrid": "a"}.items():
        sums: list[Lines] = []
        for lines, topology in ((there.get(name, {}), name), (other.get(mine, {}), mine)):
            found: Lines = defaultdict(float)
            for (owner, category, part, site), usd in lines.items():
                is_wire = category == "facility network"
                who = "the site" if is_wire else "it" if owner == topology else owner
                found[who, category, "" if is_wire else part, site] += usd
            sums.append(dict(found))
        assert sums[1] == pytest.approx(sums[0], rel=1e-9, abs=1e-9)
        wires = [usd for line, usd in sums[0].items() if line[1] == "facility network"]
        assert wires == pytest.approx([333.0] * len(wires))


@pytest.mark.parametrize("seed", few(range(370, 380), 372))
def test_a_copy_has_the_same_bill_and_shares_the_verdict(seed: int) -> None:
    text = scenario(Random(seed))
    name = sorted(text["topologies"])[0]
    events = text["study"].get("events", [])
    copied = [one | {"topology": "copy", "name": one["name"]} for one in events if one["topology"] == name]
    study = text["study"] | ({"events": [*events, *copied]} if events else {})
    text = text | {"topologies": text["topologies"] | {"copy": text["topologies"][name]}, "study": study}
    text["cost"]["draws"] = 20
    run = simulate(load_scenario(text), None)
    first, copy = (run.summary["topologies"][one] for one in (name, "copy"))
    assert copy["cost"] == first["cost"]
    assert copy["uncertainty"] == first["uncertainty"]
    assert copy["fleet"] == first["fleet"]
    winners = run.decision["winners"]
    assert (name in winners) == ("copy" in winners)


FIXED = {"hardware", "network and storage", "installation", "maintenance", "space", "on demand", "committed", "spot"}
CALLS = {"tokens", "flex tokens"}
BY_USE = {*CALLS, "electricity", "carbon", "egress"}


def filled(text: Row) -> Row:
    """The study on servers and instances of one replica each, at prices that know of no volume, without events."""
    topologies = {}
    for name, topology in text["topologies"].items():
        own = {"gpus_per_server": 2, "spares": 1}
        rent = {"gpus_per_instance": 2, "volume_prices": None, "minimum_usd_per_month": 0, "autoscaler": None}
        volume = {"volume_prices": None, "free_tokens_per_month": 0, "minimum_usd_per_month": 0}
        topologies[name] = topology | {
            "servers": [one | own for one in topology.get("servers", [])],
            "pools": [
                one
                | {"tensor_parallel_size": 2}
                | ({} if one.get("billing") == "owned" else rent | {"reclaims": False})
                for one in topology.get("pools", [])
            ],
            "providers": [one | volume for one in topology.get("providers", [])],
        }
    study = {key: value for key, value in text["study"].items() if key != "events"}
    return text | {"topologies": topologies, "study": study, "run": text["run"] | {"horizon_s": 900}}


def doubled(text: Row) -> Row:
    """Twice the traffic on twice the fleet."""
    arrivals = [one["arrivals"] for one in text["workload"]["classes"]]
    classes = [
        one | {"arrivals": poisson | {"rate_rps": 2 * poisson["rate_rps"]}}
        for one, poisson in zip(text["workload"]["classes"], arrivals, strict=True)
    ]
    return text | {"workload": {"classes": classes}, "topologies": twice(text["topologies"])}


COUNTS = ("replicas", "spares", "commitments", "instances", "provisioned_units")


def twice(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: twice(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [twice(each, key) for each in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return 2 * value if is_number and key in COUNTS else value


@pytest.mark.parametrize("seed", few(range(400, 416), 402, 406))
def test_twice_the_traffic_on_twice_the_fleet_costs_twice(seed: int) -> None:
    """Staff, fees and what is agreed by the month apart; what goes with use within the chance of so few requests.

    What a fleet passes on when it is full comes to at most twice: twice the servers pool the chances of arrivals.
    """
    text = filled(scenario(Random(seed)))
    one, two = lines_of(text), lines_of(doubled(text))
    for name in one:
        for categories, within in ((FIXED, 1e-9), (BY_USE, 0.2)):
            for category in categories:
                small, large = (
                    sum(usd for line, usd in there[name].items() if line[1] == category) for there in (one, two)
                )
                if category in CALLS and text["topologies"][name].get("routing", {}).get("kind") == "overflow":
                    assert large <= (1 + within) * 2 * small, (name, category)
                else:
                    assert large == pytest.approx(2 * small, rel=within), (name, category)
