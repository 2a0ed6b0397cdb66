"""Servers of one's own, shared by the pools on one site and GPU: what the scenario says, for the rest the catalog."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.catalog.gpus import Gpu, gpu
from simulator.catalog.servers import ServerKind as CatalogServer
from simulator.catalog.servers import server_kind, server_of, servers_of
from simulator.catalog.sites import Site, site
from simulator.errors import InputError, Problem
from simulator.resolve.engines import PlannedEngine
from simulator.resolve.facility import check_one_facility, facility
from simulator.resolve.figures import Figures
from simulator.resolve.located import located, pool_path
from simulator.resolve.power import gpu_idle_w
from simulator.resolve.resale import resale
from simulator.resolve.server_settings import Given, given_servers
from simulator.scenario.load import LoadedScenario
from simulator.scenario.phases import over_time
from simulator.schema.money import Servers
from simulator.schema.pool import Pool
from simulator.study.placement import servers_needed
from simulator.study.terms import Money, OwnedSite, ServerKind
from simulator.units import HOURS_PER_MONTH, SECONDS_PER_HOUR

_WATTS_PER_KW = 1000.0
_SWAP_H = 0.5
_SLACK = 1e-9
_HOURS_PER_WEEK = 168.0
_HOST_GPUS = 8
"""GPUs of the server that `power.host_kw` is for."""
_LEAD = {"colocation": "colo", "on_premises": "own_site"}
"""Parts of `onprem.lead_time_weeks`, by kind of site."""


def check_servers_used(loaded: LoadedScenario) -> None:
    """Refuse servers on which no owned pool stands.

    Raises
    ------
    InputError : each of them, at its site
    """
    problems = []
    for path, k, servers in _left_over(loaded):
        what = f" with {servers.gpu}" if servers.gpu else ""
        which = "any topology" if path == "servers" else "this topology"
        file, line, column = loaded.place(f"{path}[{k}].site")
        message = f"no owned pool{what} of {which} stands there"
        problems.append(Problem(message, file, line, column, f"{path}[{k}].site", servers.site))
    if problems:
        raise InputError(*problems)


def without_left_over(loaded: LoadedScenario) -> LoadedScenario:
    """The scenario without servers on which no owned pool stands any more, as of pools that get no replica."""
    gone = {(path, k) for path, k, _ in _left_over(loaded)}

    def kept(path: str, section: tuple[Servers, ...]) -> tuple[Servers, ...]:
        return tuple(servers for k, servers in enumerate(section) if (path, k) not in gone)

    topologies = {
        name: topology.model_copy(update={"servers": kept(f"topologies.{name}.servers", topology.servers)})
        for name, topology in loaded.scenario.topologies.items()
    }
    update = {"servers": kept("servers", loaded.scenario.servers), "topologies": topologies}
    return replace(loaded, scenario=loaded.scenario.model_copy(update=update)) if gone else loaded


def _left_over(loaded: LoadedScenario) -> Iterator[tuple[str, int, Servers]]:
    """Section, number and servers on which no owned pool stands at any time."""
    topologies = loaded.scenario.topologies
    ever = {name: over_time(loaded.scenario, name) for name in topologies}
    everyone = [topology for each in ever.values() for topology in each]
    sections = [("servers", loaded.scenario.servers, everyone)]
    sections += [(f"topologies.{name}.servers", topology.servers, ever[name]) for name, topology in topologies.items()]
    for path, section, those in sections:
        owned = [pool for topology in those for pool in topology.pools if pool.billing == "owned"]
        stands = {(site(pool.site).name, name) for pool in owned for name in (gpu(pool.gpu).name, None)}
        for k, servers in enumerate(section):
            if (site(servers.site).name, gpu(servers.gpu).name if servers.gpu else None) not in stands:
                yield path, k, servers


def gpus_per_server(loaded: LoadedScenario, topology: str, pool: Pool) -> int:
    """GPUs in a server that an owned pool stands on."""
    card = gpu(pool.gpu)
    return _gpus(card, given_servers(loaded, topology, site(pool.site).name, card.name))


def _gpus(card: Gpu, given: Given) -> int:
    found = given.find("gpus_per_server")
    if found is not None:
        return int(found[1])
    kind = _kind(card, given)
    return card.device.gpus_per_node if kind is None else kind.gpus


def _kind(card: Gpu, given: Given) -> CatalogServer | None:
    """The catalog's kind of server: the one that is named, with so many GPUs, or the usual one; None where it has none.

    Raises
    ------
    InputError : a kind of another card, or with another number of GPUs
    """
    gpus = given.find("gpus_per_server")
    for path, servers in given.layers:
        if servers.server is not None:
            kind = server_kind(servers.server)
            with located(given.loaded, f"{path}.server"):
                if kind.gpu != card.name:
                    raise InputError(Problem(f"{kind.name} has {kind.gpu}, but a pool there {card.name}"))
                if gpus is not None and gpus[1] != kind.gpus:
                    raise InputError(Problem(f"{kind.name} has {kind.gpus} GPUs, but {gpus[0]} says {gpus[1]:g}"))
            return kind
    if gpus is not None:
        return server_of(card.name, int(gpus[1]))
    return next(iter(servers_of(card.name)), None)


@dataclass(frozen=True, slots=True)
class Spares:
    """Servers that stand in for failed ones, and how long that takes."""

    number: int = 0
    swap_s: float = 0.0


def spares(loaded: LoadedScenario, topology: str, pool: Pool) -> Spares:
    """Spare servers of an owned pool's site: the number given, else the catalog's share of those that it needs."""
    place, card = site(pool.site).name, gpu(pool.gpu).name
    given = given_servers(loaded, topology, place, card)
    number, swap = given.find("spares"), given.find("swap_h")
    swap_s = (_SWAP_H if swap is None else swap[1]) * SECONDS_PER_HOUR
    if number is not None:
        return Spares(int(number[1]), swap_s)
    gpus = [
        other.tensor_parallel_size * other.pipeline_parallel_size
        for other in loaded.scenario.topologies[topology].pools
        if other.billing == "owned" and (site(other.site).name, gpu(other.gpu).name) == (place, card)
        for _ in range(_replicas(other))
    ]
    share = _mean(Figures(loaded.scenario.cost.overrides)("onprem.spare_fraction"))
    needed = servers_needed(gpus, gpus_per_server(loaded, topology, pool))
    return Spares(math.ceil(needed * share - _SLACK), swap_s)


def _replicas(pool: Pool) -> int:
    """Replicas at the start, or the most of a schedule; 1 where they are open."""
    given = (pool.replicas, *(window.replicas for window in pool.schedule))
    return max((n for n in given if isinstance(n, int)), default=1)


def owned_sites(
    loaded: LoadedScenario, topology: str, engines: Sequence[PlannedEngine], figures: Figures
) -> tuple[OwnedSite, ...]:
    """Servers of each site and GPU that owned pools stand on, in the order of the pools.

    Parameters
    ----------
    engines : of the topology's pools

    Raises
    ------
    InputError : servers without a price, at the pool that needs them
    """
    owned = [(k, pool) for k, pool in enumerate(loaded.scenario.topologies[topology].pools) if pool.billing == "owned"]
    groups: dict[tuple[str, str], list[tuple[int, Pool]]] = {}
    for k, pool in owned:
        groups.setdefault((site(pool.site).name, gpu(pool.gpu).name), []).append((k, pool))
    check_one_facility(loaded, topology, list(groups))
    found: list[OwnedSite] = []
    for there, pools in groups.items():
        site_of = _owned_site(loaded, topology, there, pools, [engines[k] for k, _ in pools], figures)
        is_paid = any(one.site == site_of.site and one.facility.network_usd_per_month for one in found)
        place = replace(site_of.facility, network_usd_per_month=0.0) if is_paid else site_of.facility
        found.append(replace(site_of, facility=place))
    return tuple(found)


def _owned_site(
    loaded: LoadedScenario,
    topology: str,
    there: tuple[str, str],
    pools: Sequence[tuple[int, Pool]],
    engines: Sequence[PlannedEngine],
    figures: Figures,
) -> OwnedSite:
    site_name, gpu_name = there
    place, card = site(site_name), gpu(gpu_name)
    given = given_servers(loaded, topology, site_name, gpu_name)
    with located(loaded, pool_path(loaded, topology, pools[0][0])):
        server = _server(place, card, given, figures)
    idle = given.find("gpu_idle_w")
    idle_w = gpu_idle_w(engines, figures) if idle is None else figures.given(*idle, "W per GPU")
    spares = given.find("spares")
    return OwnedSite(
        site=site_name,
        server=replace(server, gpu_idle_kw=idle_w / _WATTS_PER_KW),
        facility=facility(loaded, place, given, figures),
        pools=tuple(pool.name for _, pool in pools),
        spares=None if spares is None else int(figures.given(*spares, "servers")),
        spare_share=0.0 if spares else _mean(figures("onprem.spare_fraction")),
        off_when_empty=given.off_when_empty(),
    )


def _server(place: Site, card: Gpu, given: Given, figures: Figures) -> ServerKind:
    def figure(key: str, unit: str, identifier: str, part: str | None = None) -> Money:
        found = given.find(key)
        return figures(identifier, part) if found is None else figures.given(*found, unit)

    kind, gpus = _kind(card, given), _gpus(card, given)
    host_kw, reserved_kw = _power_kw(card, gpus, kind, given, figures)
    life_years = figure("life_years", "years", "onprem.economic_life")
    residual, ages = resale(given.find("resale_by_age"), given.find("residual_share"), life_years, figures)
    lead = given.find("lead_weeks")
    install = given.find("install_usd")
    weeks = figures("onprem.lead_time_weeks", _LEAD[place.kind]) if lead is None else figures.given(*lead, "weeks")
    return ServerKind(
        name=f"{gpus} x {card.name}" if kind is None else kind.name,
        gpu=card.name,
        gpus=gpus,
        capex_usd=_capex_usd(card, gpus, kind, given, figures),
        network_storage_share=figure("network_storage_share", "of the servers' price", "onprem.network_storage_share"),
        reserved_kw=reserved_kw,
        host_kw=host_kw,
        maintenance_share_per_year=figure("maintenance_share_per_year", "per year", "onprem.maintenance_rate"),
        life_years=life_years,
        residual_share=residual,
        resale_share_by_age=ages,
        lead_months=_mean(weeks) * _HOURS_PER_WEEK / HOURS_PER_MONTH,
        install_usd=0.0 if install is None else figures.given(*install, "USD per server"),
    )


def _power_kw(card: Gpu, gpus: int, kind: CatalogServer | None, given: Given, figures: Figures) -> tuple[Money, Money]:
    """Mean draw without GPUs, and power to be reserved; of a server that the catalog does not have by its GPUs."""
    host, reserved = given.find("host_kw"), given.find("reserved_kw")
    if host is not None:
        host_kw: Money = figures.given(*host, "kW")
    elif kind is not None:
        host_kw = figures.of(kind.host, f"{kind.name}.host")
    else:
        host_kw = figures("power.host_kw") * gpus / _HOST_GPUS
    if reserved is not None:
        return host_kw, figures.given(*reserved, "kW")
    if kind is not None and host is None:
        return host_kw, figures.of(kind.nameplate, f"{kind.name}.nameplate")
    board_w = figures.of(card.board_power, f"{card.name}.board_power")
    return host_kw, host_kw + gpus * board_w / _WATTS_PER_KW


def _capex_usd(card: Gpu, gpus: int, kind: CatalogServer | None, given: Given, figures: Figures) -> Money:
    found = given.find("capex_usd")
    if found is not None:
        return figures.given(*found, "USD per server")
    if kind is not None:
        return figures.of(kind.capex, f"{kind.name}.capex")
    known = ", ".join(str(other.gpus) for other in servers_of(card.name))
    raise InputError(
        Problem(
            f"the catalog has no price of a server with {gpus} {card.name}{f' (but with {known})' if known else ''}: "
            "give capex_usd under servers",
            path="gpu",
            got=card.name,
        )
    )


def _mean(value: Money) -> float:
    return float(np.mean(value))
