"""The servers of a fleet: which pools share them, by what luck they fail, and what was used of the owned ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import simpy

from simulator.fleet.ledger import by_hour, most_at_once, within
from simulator.fleet.lifecycle import DOWN, PoolControl
from simulator.fleet.servers import Luck, Servers, past_s
from simulator.fleet.spans import union
from simulator.study.canonical import pool_lucks
from simulator.study.fleet import PoolSpec, Reliability
from simulator.study.usage import ServerUsage
from simulator.units import SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True)
class Site:
    """Servers, and the numbers of the pools that stand on them."""

    servers: Servers
    pools: tuple[int, ...]


def sites(pools: Sequence[PoolSpec], seed: int, is_job: bool) -> tuple[simpy.Environment, list[Site]]:
    """Owned pools share servers by zone, GPU and server size; each rented pool has instances of its own.

    Parameters
    ----------
    is_job : rented instances are launched at time 0, so that they have no past

    Returns
    -------
    Their clock, which stands before time 0 where servers fail or are reclaimed, and the sites.
    """
    lucks = pool_lucks(pools)
    groups: dict[tuple[str | int, ...], list[int]] = {}
    for k, pool in enumerate(pools):
        owned = ("owned", pool.site, pool.zone, pool.gpu, pool.server_gpus)
        groups.setdefault(owned if pool.owned else ("rented", *lucks[k]), []).append(k)
    pasts = {words: 0 if is_job and words[0] == "rented" else _past_s(groups[words], pools) for words in groups}
    env = simpy.Environment(-max(pasts.values(), default=0))
    found = []
    for words, numbers in groups.items():
        members = [pools[k] for k in numbers]
        servers = Servers(
            env,
            members[0].server_gpus,
            _shared([pool.reliability for pool in members]),
            Luck(seed, ("servers", *words)),
            Luck(seed, ("zone", members[0].zone or members[0].site)),
            max(pool.spares for pool in members),
            max(pool.swap_s for pool in members),
            replaced=not members[0].owned,
            past_s=pasts[words],
        )
        found.append(Site(servers, tuple(numbers)))
    return env, found


def _past_s(numbers: Sequence[int], pools: Sequence[PoolSpec]) -> int:
    members = [pools[k] for k in numbers]
    start_s = max(pool.cold_start.total_s for pool in members)
    return past_s(_shared([pool.reliability for pool in members]), max(pool.swap_s for pool in members), start_s)


def _shared(each: Sequence[Reliability]) -> Reliability:
    """Servers that several pools share fail as the worst of these figures says."""
    often = [figures.mtbf_s for figures in each if figures.mtbf_s > 0]
    return replace(each[0], mtbf_s=min(often, default=0.0), mttr_s=max(figures.mttr_s for figures in each))


def server_usage(site: Site, controls: Sequence[PoolControl], start_s: float, end_s: float) -> ServerUsage:
    """Owned servers within the window: on and under repair, and with which replicas."""
    held: dict[int, list[tuple[float, float]]] = {}
    running: dict[int, list[tuple[float, float]]] = {}
    hours = max(math.ceil(end_s / SECONDS_PER_HOUR), 1)
    held_gpu_s = np.zeros(hours)
    for control in (controls[k] for k in site.pools):
        spans = within(control, start_s, end_s)
        up = [(span.start_s, span.end_s) for span in spans if span.state != DOWN]
        held_gpu_s += control.spec.gpus_per_replica * by_hour(up, hours)
        for span in spans:
            for number in span.servers:
                held.setdefault(number, []).append((span.start_s, span.end_s))
                if span.state != DOWN:
                    running.setdefault(number, []).append((span.start_s, span.end_s))
    repairs = [(max(begin_s, start_s), min(back_s, end_s)) for begin_s, back_s in site.servers.repairs]
    spec = controls[site.pools[0]].spec
    return ServerUsage(
        spec.site,
        spec.gpu,
        spec.server_gpus,
        tuple(controls[k].spec.name for k in site.pools),
        most_at_once(span for spans in held.values() for span in union(spans)),
        by_hour([(start_s, end_s)], hours),
        by_hour([span for span in repairs if span[0] < span[1]], hours),
        by_hour([span for number in sorted(running) for span in union(running[number])], hours),
        held_gpu_s,
    )
