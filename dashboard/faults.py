"""Faults of a What-if: what of a run may fail, and a fault as assignments that `servecast run --set` takes as well."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from simulator.catalog.titles import title_of
from simulator.resolve.topology import plan_topologies
from simulator.scenario.load import LoadedScenario
from simulator.schema.base import Settings
from simulator.schema.faults import Outages
from simulator.schema.pool import Pool
from simulator.simulate.capacity import offered_load
from simulator.units import SECONDS_PER_MINUTE

Kind = Literal["server", "server_lost", "place", "vendor", "no_capacity", "throttles", "limit"]
_WORDS: dict[Kind, str] = {
    "server": "one server at {} fails",
    "server_lost": "one server at {} is lost for good",
    "place": "{} is down",
    "vendor": "the token API {} is down",
    "no_capacity": "{} has no machine for new launches",
    "throttles": "the token API {} answers 429 for a while",
    "limit": "{} answers 429 above half the busiest load",
}
_LIMIT_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """What fails.

    Attributes
    ----------
    kind : a server until its repair or for good, a site or zone, a token API, launches at a site, calls that a token
        API refuses, or the rate of a token API
    target : site, `site/zone`, `topology: pool`, or name of the provider
    start_s, duration_s : of a fault that has an end (`is_timed`); the others last as long as the run
    share : of the calls, that a token API refuses meanwhile
    peak_tokens_per_s : of the busiest time, of which the rate of a token API lets half through
    called : the target as people call it
    """

    kind: Kind
    target: str
    start_s: float = 0.0
    duration_s: float = 0.0
    share: float = 1.0
    peak_tokens_per_s: float = 0.0
    called: str = ""

    @property
    def words(self) -> str:
        return _WORDS[self.kind].format(self.called or self.target)

    @property
    def is_timed(self) -> bool:
        """Whether it has a beginning and an end."""
        return self.kind in ("server", "place", "vendor", "no_capacity", "throttles")


def possible_faults(loaded: LoadedScenario) -> list[Fault]:
    """What may fail in the topologies of a scenario."""
    pools = [pool for topology in loaded.scenario.topologies.values() for pool in topology.pools]
    providers = [one.name for topology in loaded.scenario.topologies.values() for one in topology.providers]
    sites = dict.fromkeys(pool.site for pool in pools)
    found = [Fault("server", place) for place in [*sites, *_among_others(loaded)]]
    found += [Fault("server_lost", site) for site in dict.fromkeys(p.site for p in pools if _is_of_a_size(p))]
    found += [Fault("place", place) for place in dict.fromkeys(map(_place, pools))]
    found += [Fault("vendor", name) for name in dict.fromkeys(providers)]
    found += [Fault("throttles", name) for name in dict.fromkeys(providers)]
    found += [Fault("no_capacity", site) for site in dict.fromkeys(p.site for p in pools if p.billing != "owned")]
    if offered_load(loaded) is not None:
        found += [Fault("limit", name) for name in dict.fromkeys(providers)]
    offers = _offers(loaded)
    return [replace(fault, called=_called(fault, offers)) for fault in found]


def _called(fault: Fault, offers: Mapping[str, str]) -> str:
    """Sites and offers by their titles; what the scenario names stays as it is named."""
    if fault.kind in ("vendor", "throttles", "limit"):
        return f"{fault.target}, {offers[fault.target]}," if fault.target in offers else fault.target
    site, _, zone = fault.target.partition("/")
    return title_of("site", site) + (f", zone {zone}" if zone else "")


def _offers(loaded: LoadedScenario) -> dict[str, str]:
    """Title of what is bought from each provider of which it is one offer in all topologies."""
    providers = [one for topology in loaded.scenario.topologies.values() for one in topology.providers]
    bought = {name: {one.offer for one in providers if one.name == name} for name in {one.name for one in providers}}
    return {name: title_of("offer", one) for name, (one, *others) in bought.items() if one and not others}


def fault_sets(loaded: LoadedScenario, fault: Fault) -> list[str]:
    """The fault as assignments; a topology that has nothing of it stays as it is.

    Raises
    ------
    InputError : the scenario cannot be planned
    """
    return list(_sets(loaded, fault))


def _sets(loaded: LoadedScenario, fault: Fault) -> Iterator[str]:
    window = {"start_s": fault.start_s, "duration_s": fault.duration_s}
    whole = {"start_s": 0.0, "duration_s": loaded.scenario.run.horizon_s + loaded.scenario.run.drain_s}
    for planned in plan_topologies(loaded):
        name, first = planned.name, _first_at_site(planned.settings.pools)
        for pool, spec in zip(planned.settings.pools, planned.fleet.pools, strict=True):
            path = f"topologies[{name}].pools[{pool.name}]"
            if fault.kind == "place" and _place(pool) == fault.target:
                yield f"{path}.outages={_outages(pool.outages, window)}"
            elif fault.kind == "no_capacity" and pool.site == fault.target and pool.billing != "owned":
                yield f"{path}.stock_outs={_beside(pool.stock_outs, window)}"
            elif fault.kind == "server" and fault.target in (_named(name, pool), first.get(pool.name)):
                yield f"{path}.server_failures={_beside(pool.server_failures, window)}"
            elif fault.kind == "server_lost" and pool.site == fault.target and isinstance(pool.replicas, int):
                if not _is_of_a_size(pool) or not pool.replicas:
                    continue
                left = pool.replicas - max(spec.server_gpus // spec.gpus_per_replica, 1)
                yield f"{path}.replicas={left}" if left > 0 else f"{path}.outages={json.dumps({'windows': [whole]})}"
        for provider, api in zip(planned.settings.providers, planned.fleet.providers, strict=True):
            path = f"topologies[{name}].providers[{provider.name}]"
            if fault.kind == "vendor" and provider.name == fault.target:
                yield f"{path}.outages={_outages(provider.outages, window)}"
            elif fault.kind == "throttles" and provider.name == fault.target:
                yield f"{path}.throttling={_beside(provider.throttling, window | {'share': fault.share})}"
            elif fault.kind == "limit" and provider.name == fault.target:
                per_minute = max(_LIMIT_SHARE * fault.peak_tokens_per_s * SECONDS_PER_MINUTE, 1)
                per_minute = min(per_minute, api.tokens_per_minute or per_minute)
                yield f"{path}.tokens_per_minute={per_minute:.0f}"


def _beside(known: Sequence[Settings], window: Mapping[str, float]) -> str:
    """What a scenario lets fail, and a window more."""
    return json.dumps([*(one.model_dump(exclude_unset=True) for one in known), window])


def _outages(known: Outages | None, window: Mapping[str, float]) -> str:
    kept = known.model_dump(exclude_unset=True) if known else {}
    return json.dumps(kept | {"windows": [*kept.get("windows", ()), window]})


def _is_of_a_size(pool: Pool) -> bool:
    """Whether it has one size: of others nobody starts what is lost anew."""
    return pool.autoscaler is None and not pool.schedule


def _among_others(loaded: LoadedScenario) -> list[str]:
    """Pools that have not their site for themselves, `topology: pool`: whose server fails is to be chosen there."""
    return [
        _named(name, pool)
        for name, topology in loaded.scenario.topologies.items()
        for pool in topology.pools
        if sum(other.site == pool.site for other in topology.pools) > 1
    ]


def _first_at_site(pools: Sequence[Pool]) -> dict[str, str]:
    """Site by the first pool that stands there."""
    return {pool: site for site, pool in {pool.site: pool.name for pool in reversed(pools)}.items()}


def _named(topology: str, pool: Pool) -> str:
    return f"{topology}: {pool.name}"


def _place(pool: Pool) -> str:
    return f"{pool.site}/{pool.zone}" if pool.zone else pool.site
