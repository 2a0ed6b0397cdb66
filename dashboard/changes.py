"""What the sliders of the What-if view change, as assignments that `servecast run --set` takes as well."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from dashboard.faults import Fault, fault_sets
from simulator.resolve.sizes import at_start
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.run.sizes_by_month import ByMonth, with_sizes_as_events
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.scenario.resolved import resolved_yaml
from simulator.schema.money import Servers
from simulator.schema.pool import Pool, QueueAutoscaler
from simulator.study.terms import Money, OwnedSite, RentedTerms

RATES = {"row_factor": 4, "rate_scale": 4, "rate_rps": 6, "concurrency": 0, "requests": 0, "tokens": 0}
"""Values that scale the demand, by name, with the digits kept: of a kind of arrivals the first that it has."""
_WHOLE = ("concurrency", "requests", "tokens")
"""Those that are numbers of something: one at least."""


@dataclass(frozen=True, slots=True)
class Change:
    """Positions of the sliders.

    Attributes
    ----------
    demand, rent, server, tokens : factors on the load and on prices
    replicas : more or fewer in each pool
    electricity_usd_per_kwh : at all sites; None keeps what they pay
    limits : factor on the latency limits of the SLO
    growth_per_year : of the load; None keeps the study's
    fault : what fails, and when
    """

    demand: float = 1.0
    replicas: int = 0
    rent: float = 1.0
    server: float = 1.0
    tokens: float = 1.0
    electricity_usd_per_kwh: float | None = None
    limits: float = 1.0
    growth_per_year: float | None = None
    fault: Fault | None = None


def assignments(loaded: LoadedScenario, change: Change) -> list[str]:
    """The change as assignments; none where nothing changes.

    Raises
    ------
    InputError : the scenario cannot be planned
    """
    sets = [*_demand(loaded, change.demand), *_limits(loaded, change.limits)]
    if change.growth_per_year not in (None, loaded.scenario.study.growth_per_year):
        sets.append(f"study.growth_per_year={change.growth_per_year:g}")
    for name, topology in loaded.scenario.topologies.items():
        for pool in topology.pools:
            sets += _pool(f"topologies[{name}].pools[{pool.name}]", pool, change)
        if change.tokens != 1:
            sets += [
                f"topologies[{name}].providers[{provider.name}].price_scale={provider.price_scale * change.tokens:g}"
                for provider in topology.providers
            ]
    if change.fault is not None:
        sets += fault_sets(loaded, change.fault)
    if change.rent != 1 or change.server != 1:
        sets += _prices(loaded, change)
    if change.electricity_usd_per_kwh is not None:
        sets += _electricity(loaded, change.electricity_usd_per_kwh)
    return sets


def electricity_usd_per_kwh(loaded: LoadedScenario) -> dict[str, float]:
    """What electricity costs by site of owned servers, of prices by the hour their mean; none where nothing is owned.

    Raises
    ------
    InputError : the scenario cannot be planned or priced
    """
    found: dict[str, list[float]] = {}
    for planned in plan_topologies(at_start(loaded)):
        for place in resolve_terms(planned).terms.owned:
            paid = [float(np.mean(usd)) for usd in place.facility.electricity_usd_per_kwh]
            found.setdefault(place.site, []).append(fmean(paid))
    return {site: fmean(prices) for site, prices in found.items()}


def open_sizes(loaded: LoadedScenario) -> list[str]:
    """Every size that a search may find, left open: replicas, and settings of autoscalers; schedules stay."""
    sets = []
    for name, topology in loaded.scenario.topologies.items():
        for pool in topology.pools:
            path = f"topologies[{name}].pools[{pool.name}]"
            if pool.autoscaler is not None:
                sets += [f"{path}.autoscaler=auto", *([f"{path}.replicas=1"] if pool.replicas != 1 else [])]
            elif not pool.schedule:
                sets.append(f"{path}.replicas=auto")
    return sets


def as_events_write(loaded: LoadedScenario) -> str:
    """What sliders do not reach: what events of the study set, from their months on; empty without any."""
    events = [f"{event.name} (month {event.from_month})" for event in loaded.scenario.study.events]
    return f"What an event sets stays as it is written from its month on: {', '.join(events)}." if events else ""


def changed_text(file: Path, sets: list[str], anew: bool = False, sizes: Mapping[str, ByMonth] | None = None) -> str:
    """The scenario in `file` with values set, as a file of its own that names the same files.

    Parameters
    ----------
    anew : sizes are left open, too; where that is what is set, the size is
    sizes : unless they are left open, of the topologies that have others in later months, which become events
    """
    plain = load_scenario(file)
    opened = open_sizes(plain) if anew else []
    set_already = {text.partition("=")[0] for text in opened}
    kept = [text for text in sets if not any(text.startswith(path) for path in set_already)]
    if sizes and not anew:
        events = with_sizes_as_events(load_scenario(file, sets=kept), plain, sizes)
        kept.append(f"study.events={json.dumps(events)}")
    return resolved_yaml(load_scenario(file, sets=[*kept, *opened]))


def _demand(loaded: LoadedScenario, factor: float) -> list[str]:
    if factor == 1:
        return []
    sets = []
    for cls in loaded.scenario.workload.classes:
        key = next(key for key in RATES if getattr(cls.arrivals, key, None) is not None)
        scaled = round(getattr(cls.arrivals, key) * factor, RATES[key])
        if key in _WHOLE:
            scaled = max(scaled, 1)
        sets.append(f"workload.classes[{cls.name}].arrivals.{key}={scaled:.12g}")
    return sets


def _electricity(loaded: LoadedScenario, usd_per_kwh: float) -> list[str]:
    """One price everywhere: instead of prices by the hour, and of those that servers have of their own."""
    hours, one = "electricity_by_hour_usd_per_kwh", "electricity_usd_per_kwh"
    scenario = loaded.scenario
    sections = [("servers", scenario.servers)]
    sections += [(f"topologies[{name}].servers", topology.servers) for name, topology in scenario.topologies.items()]
    sets = []
    for path, given in [
        ("cost", scenario.cost),
        *((f"{at}[{own.name}]", own) for at, each in sections for own in each),
    ]:
        if getattr(given, hours) is not None:
            sets.append(f"{path}.{hours}=null")
        if path == "cost" or getattr(given, hours) is not None or getattr(given, one) is not None:
            sets.append(f"{path}.{one}={usd_per_kwh:g}")
    return sets


def _limits(loaded: LoadedScenario, factor: float) -> list[str]:
    if factor == 1:
        return []
    return [
        f"workload.classes[{cls.name}].slo.{metric}.{share}={limit_s * factor:g}"
        for cls in loaded.scenario.workload.classes
        for metric in ("ttft_s", "tpot_s", "e2e_s")
        for share, limit_s in getattr(cls.slo, metric).items()
    ]


def _pool(path: str, pool: Pool, change: Change) -> list[str]:
    sets = []
    scaler = pool.autoscaler
    if change.replicas and isinstance(scaler, QueueAutoscaler):
        if isinstance(scaler.max, int):
            least = scaler.min if isinstance(scaler.min, int) else 1
            sets.append(f"{path}.autoscaler.max={max(scaler.max + change.replicas, least, 1)}")
    elif change.replicas and isinstance(pool.replicas, int) and scaler is None:
        sets.append(f"{path}.replicas={max(pool.replicas + change.replicas, 1)}")
    return sets


def _prices(loaded: LoadedScenario, change: Change) -> list[str]:
    sets = []
    for planned in plan_topologies(at_start(loaded)):
        terms = resolve_terms(planned).terms
        rented, owned = {offer.pool: offer for offer in terms.rented}, terms.owned
        for pool in planned.settings.pools:
            if pool.name in rented and change.rent != 1:
                texts = _rent(pool, rented[pool.name], change.rent)
                sets += [f"topologies[{planned.name}].pools[{pool.name}].{text}" for text in texts]
        if owned and change.server != 1:
            section = loaded.scenario.topologies[planned.name].servers
            sets.append(f"topologies[{planned.name}].servers={json.dumps(_servers(section, owned, change.server))}")
    return sets


def _servers(section: Sequence[Servers], owned: Sequence[OwnedSite], factor: float) -> list[dict[str, Any]]:
    """The topology's servers section with every price times a factor."""
    found = [servers.model_dump(exclude_unset=True) for servers in section]
    for place in owned:
        key = (place.site, place.server.gpu)
        capex = {"capex_usd": round(float(np.mean(place.server.capex_usd)) * factor, 2)}
        same = [entry for entry in found if (entry["site"], entry.get("gpu")) == key]
        for entry in same:
            entry |= capex
        if not same:
            found.append({"name": f"{place.site}-{place.server.gpu}", "site": key[0], "gpu": key[1], **capex})
    return found


def _rent(pool: Pool, terms: RentedTerms, factor: float) -> list[str]:
    """The prices that the scenario gives for this kind of billing, times a factor."""
    if pool.billing.startswith("reserved"):
        return [f"price_usd_per_gpu_hour={_per_gpu(terms.commitments[0].usd_per_instance_hour, terms, factor)}"]
    sets: list[str] = []
    if terms.commitments:
        mix = [
            {
                "term_months": found.term_months,
                "instances": "auto" if found.instances is None else found.instances,
                "price_usd_per_gpu_hour": _per_gpu(found.usd_per_instance_hour, terms, factor),
                "upfront_share": found.upfront_share,
            }
            for found in terms.commitments
        ]
        sets.append(f"commitments={json.dumps(mix)}")
    if pool.price_by_hour_usd_per_gpu_hour is not None:
        by_hour = [round(price * factor, 6) for price in pool.price_by_hour_usd_per_gpu_hour]
        return [*sets, f"price_by_hour_usd_per_gpu_hour={json.dumps(by_hour)}"]
    return [*sets, f"price_usd_per_gpu_hour={_per_gpu(terms.usd_per_instance_hour[0], terms, factor)}"]


def _per_gpu(usd_per_instance_hour: Money, terms: RentedTerms, factor: float) -> float:
    return float(f"{float(np.mean(usd_per_instance_hour)) / terms.gpus_per_instance * factor:.6g}")
