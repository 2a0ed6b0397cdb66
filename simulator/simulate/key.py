"""What a simulation depends on, as a hash: equal keys, equal outcomes, on this machine."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from simulator.simulate.demand import Demand
from simulator.simulate.one import Subject
from simulator.study.fleet import FleetSpec
from simulator.study.terms import OwnedSite, RentedTerms, Terms

_ROOT = Path(__file__).resolve().parents[1]
_ROOMS = ("engine", "fleet", "metrics", "perf", "simulate", "study", "workload")
_FILES = ("jit.py", "rng.py", "units.py", "results/files.py")
_LIBRARIES = ("llvmlite", "numba", "numpy", "pandas", "pyarrow", "scipy", "simpy")


def outcome_key(subject: Subject, demand: Demand, number: int) -> str:
    """Key of replication `number` of a fleet under a demand.

    In it: the program that simulates, the machine, the fleet at its size, the classes with their service levels, the
    workload with the content of its files, the span, the seed and the number. Not in it: prices, the catalog's names,
    the topology's name, how many replications there are, which part of a month it is where no fault comes by chance.
    """
    fleet = replace(subject.fleet, name="", clock_s=0.0)
    if demand.part and not _has_luck(fleet):
        demand = replace(demand, part=0)
    return digest(program_key(), machine_key(), fleet, *demand_parts(demand), number)


def _has_luck(fleet: FleetSpec) -> bool:
    """Whether anything befalls a fleet by chance, which differs from part to part of a month."""
    rates = [provider.outages.mtbf_s for provider in fleet.providers]
    for pool in fleet.pools:
        faults = pool.reliability
        rates += [pool.outages.mtbf_s, faults.mtbf_s, faults.reclaim_mtbf_s, faults.unavailable_probability]
    return any(rates)


def trial_key(subject: Subject, demand: Demand) -> str:
    """Key of the answer whether a fleet meets its service levels over all replications."""
    return digest(outcome_key(subject, demand, 0), demand.replications, demand.jobs_per_month)


def fleet_key(subject: Subject) -> str:
    """Key of a fleet whatever it and its targets are called; pools that never have a replica are left out."""
    fleet = subject.fleet
    kept = [k for k, pool in enumerate(fleet.pools) if pool.most_replicas > 0]
    n = len(fleet.pools)
    targets = [*kept, *range(n, n + len(fleet.providers))]
    routing = fleet.routing if len(targets) > 1 or fleet.routing.classify_s else None
    named = [*(fleet.pools[k] for k in kept), *fleet.providers]
    return digest([_nameless(one) for one in named], routing, fleet.classes)


def agreed(terms: Terms) -> Terms:
    """What is agreed, whatever the topology and its pools are called."""
    return replace(
        terms,
        topology="",
        owned=tuple(_bare(site) for site in terms.owned),
        rented=tuple(_unnamed(offer) for offer in terms.rented),
        apis=tuple(replace(offer, provider="") for offer in terms.apis),
    )


def _bare(site: OwnedSite) -> OwnedSite:
    return replace(site, pools=(), later=tuple(map(_bare, site.later)))


def _unnamed(offer: RentedTerms) -> RentedTerms:
    return replace(offer, pool="", later=tuple(map(_unnamed, offer.later)))


def demand_parts(demand: Demand) -> tuple[object, ...]:
    """Everything that a demand is made of but the number of replications."""
    return (
        demand.classes,
        demand.workload,
        demand.horizon_s,
        demand.warmup_s,
        demand.drain_s,
        demand.seed,
        demand.sample_s,
        demand.start_s,
        demand.when,
        demand.part,
    )


@cache
def program_key() -> str:
    """Hash of the sources that simulate, and of the versions of what they stand on."""
    hashed = hashlib.sha256()
    files = [path for room in _ROOMS for path in sorted((_ROOT / room).rglob("*.py"))]
    for file in [*files, *(_ROOT / name for name in _FILES)]:
        hashed.update(file.relative_to(_ROOT).as_posix().encode())
        hashed.update(file.read_bytes())
    hashed.update(repr([sys.version, *(version(name) for name in _LIBRARIES)]).encode())
    return hashed.hexdigest()


@cache
def machine_key() -> str:
    """Hash of what exp and log may differ by: processor, its features, vector library, C library."""
    import numba
    from llvmlite import binding  # type: ignore[import-untyped]

    features = binding.get_host_cpu_features().flatten()
    parts = (
        platform.machine(),
        binding.get_host_cpu_name(),
        features,
        getattr(numba.config, "USING_SVML", None),
        platform.libc_ver(),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _nameless(target: object) -> dict[str, object]:
    return {
        one.name: getattr(target, one.name)
        for one in fields(target)  # type: ignore[arg-type]
        if one.name != "name"
    }


def digest(*parts: object) -> str:
    """Hash of plain values, arrays, dataclasses and files."""
    hashed = hashlib.sha256()
    _feed(hashed, parts)
    return hashed.hexdigest()


def _feed(digest: hashlib._Hash, value: object) -> None:
    """Every value with its type and length, so that no two trees give the same bytes."""
    if is_dataclass(value) and not isinstance(value, type):
        digest.update(f"<{type(value).__qualname__}".encode())
        for one in fields(value):
            if one.repr:
                digest.update(f".{one.name}=".encode())
                _feed(digest, getattr(value, one.name))
    elif isinstance(value, np.ndarray):
        digest.update(f"array{value.dtype.descr}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Path):
        with value.open("rb") as file:
            digest.update(b"file" + hashlib.file_digest(file, "sha256").digest())
    elif isinstance(value, Mapping):
        digest.update(f"map{len(value)}".encode())
        for key in sorted(value, key=str):
            _feed(digest, (key, value[key]))
    elif isinstance(value, list | tuple):
        digest.update(f"list{len(value)}".encode())
        for each in value:
            _feed(digest, each)
    elif value is None or isinstance(value, bool | int | float | str | Enum | np.generic):
        digest.update(f"{type(value).__name__}:{value!r};".encode())
    else:
        raise TypeError(f"cannot be part of a key: {type(value).__name__}")
