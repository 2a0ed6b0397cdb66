"""What of costs is said and has no effect: taxes, fees, staff, sales, a price of CO2, overrides on nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from simulator.bill.possible import possible_categories
from simulator.resolve.agreed import are_sold
from simulator.resolve.terms import ResolvedTerms
from simulator.schema.money import TaxSettings
from simulator.schema.scenario import CostSettings, Scenario
from simulator.schema.topology import Topology
from simulator.study.terms import Terms

Found = tuple[str, str]
"""Path, and why what stands there is on nothing."""
_BY_POOL = ("usd_per_replica_month", "usd_per_gpu_month")


def idle_warnings(scenario: Scenario, found: Mapping[str, ResolvedTerms]) -> list[str]:
    """A warning for each that is on nothing, and one for overrides; `found` are the terms of each topology."""
    idle = idle_terms(scenario, {name: [one.terms] for name, one in found.items()})
    return [*unused_overrides(scenario.cost, list(found.values())), *(f"{path}: {words}" for path, words in idle)]


def idle_terms(scenario: Scenario, terms: Mapping[str, Sequence[Terms]]) -> list[Found]:
    """Taxes, fees and staff that are on nothing in any month, and sales of nothing.

    Parameters
    ----------
    terms : of each topology, over all months of the study together, or as it is and from each event on
    """
    shared = [one for name, topology in scenario.topologies.items() if topology.taxes is None for one in terms[name]]
    said = list(_taxes("cost.taxes", scenario.cost.taxes, shared)) if shared else []
    if not shared and scenario.cost.taxes:
        said.append(("cost.taxes", "without effect, as each topology has taxes of its own"))
    if scenario.cost.co2_usd_per_tonne and not any(one.owned for each in terms.values() for one in each):
        said.append(("cost.co2_usd_per_tonne", "without effect, as no topology owns servers"))
    for name, topology in scenario.topologies.items():
        path = f"topologies.{name}"
        said += _taxes(f"{path}.taxes", topology.taxes or (), terms[name])
        said += [(f"{path}.{key}", f"without effect, as {name} {why}") for key, why in _counted(topology, terms[name])]
        said += _sales(scenario, name, terms[name])
    return said


def _sales(scenario: Scenario, name: str, terms: Sequence[Terms]) -> Iterator[Found]:
    """What servers are to bring that an event leaves without use, where it leaves none."""
    events = [(k, one) for k, one in enumerate(scenario.study.events) if one.topology == name]
    stages = list(pairwise(one.owned for one in terms))
    for number, (k, event) in enumerate(sorted(events, key=lambda one: one[1].from_month)):
        if stages:
            sold = are_sold(*stages[number])
        else:
            sold = any(place.span.last == event.from_month - 1 for one in terms for place in one.owned)
        if event.resale_share is not None and not sold:
            why = f"without effect, as {event.name} leaves no servers of one's own without use"
            yield f"study.events[{k}].resale_share", why


def _counted(topology: Topology, terms: Sequence[Terms]) -> Iterator[Found]:
    """Keys of what is paid for each of something that is not there, and why."""
    owns = any(one.owned for one in terms)
    if not (owns or any(one.rented for one in terms)):
        why = "has no pool of GPUs"
        for k, fee in enumerate(topology.fees):
            yield from ((f"fees[{k}].{key}", why) for key in _BY_POOL if getattr(fee, key))
        if topology.staff is not None and topology.staff.fte_per_replica:
            yield "staff.fte_per_replica", why
    if topology.staff is not None and topology.staff.fte_per_server and not owns:
        yield "staff.fte_per_server", "owns no servers"


def _taxes(path: str, taxes: Sequence[TaxSettings], terms: Sequence[Terms]) -> Iterator[Found]:
    there = frozenset[str]().union(*map(possible_categories, terms))
    names = list(dict.fromkeys(one.topology for one in terms))
    who = f"{' and '.join(names)} {'has' if len(names) == 1 else 'have'}"
    for k, tax in enumerate(taxes):
        for i, category in enumerate(tax.categories or ()):
            if category not in there:
                alike = sorted(one for one in there if one.endswith(f" {category}"))
                hint = f", but {' and '.join(alike)}" if alike else ""
                yield f"{path}[{k}].categories[{i}]", f"{tax.name} is on {category}; {who} no such line{hint}"


def unused_overrides(settings: CostSettings, found: Sequence[ResolvedTerms]) -> list[str]:
    """A warning when figures that the scenario sets had no say in any topology."""
    used = frozenset().union(*(terms.used_overrides for terms in found))
    if settings.draws:
        used |= {"price.monthly_log_vol", "price.token_monthly_log_vol"}
    unused = [name for name in settings.overrides if name not in used]
    return [f"overrides without effect on costs: {', '.join(unused)}"] if unused else []
