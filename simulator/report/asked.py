"""What runs asked for, and what their searches found: a bundle's scenario holds both as one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulator.resolve.open_windows import window_words
from simulator.resolve.sizes import AUTO, Fixed, with_sizes
from simulator.resolve.without_units import without_units
from simulator.results.bundle import Bundle
from simulator.scenario.differences import ABSENT, Difference
from simulator.scenario.document import read_document
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.scenario.resolved import resolved_data

_WHOLE = re.compile(r"\d+")


def asked(bundles: Sequence[Bundle]) -> list[dict[str, Any]]:
    """The scenarios of runs as they were asked, with `auto` where a size or the hours of a window were searched.

    A pool that a search of any run left out is left out of all, with what routing says of it. Of an autoscaler that was
    open in parts, the parts that were given go with those that were found.

    Raises
    ------
    InputError : a resolved scenario is missing or broken
    """
    written = [_written(bundle) for bundle in bundles]
    gone = {
        (name, pool)
        for bundle, data in zip(bundles, written, strict=True)
        for name, pool, _ in _sizes(bundle)
        if pool not in {kept["name"] for key in ("pools", "providers") for kept in data["topologies"][name][key]}
    }
    return [_asked(bundle, data, gone) for bundle, data in zip(bundles, written, strict=True)]


def _written(bundle: Bundle) -> dict[str, Any]:
    data: dict[str, Any] = read_document(bundle.scenario_file).data
    return data


def found(bundles: Sequence[Bundle]) -> list[Difference]:
    """Sizes and hours that were searched and are not the same in all runs; absent where a run has them as written."""
    known = [dict(_results(bundle)) for bundle in bundles]
    paths = dict.fromkeys(path for one in known for path in one)
    rows = [Difference(path, tuple(one.get(path, ABSENT) for one in known)) for path in paths]
    return [row for row in rows if any(value != row.values[0] for value in row.values)]


def _results(bundle: Bundle) -> Iterator[tuple[str, str]]:
    for name, pool, size in _sizes(bundle):
        yield f"topologies.{name}.pools[{pool}]", size
    for name in bundle.summary["order"]:
        if hours := _search(bundle, name).get("hours"):
            yield f"topologies.{name}.routing.windows", window_words(hours)


def _sizes(bundle: Bundle) -> Iterator[tuple[str, str, str]]:
    """Topology, pool and the size that was found for it, in words."""
    for name in bundle.summary["order"]:
        for pool, size in _search(bundle, name).get("sizes", {}).items():
            yield name, pool, size


def _search(bundle: Bundle, name: str) -> Mapping[str, Any]:
    return bundle.summary["topologies"][name].get("search") or {}


def _asked(bundle: Bundle, data: dict[str, Any], gone: set[tuple[str, str]]) -> dict[str, Any]:
    targets = (
        (name, one["name"])
        for name, topology in data["topologies"].items()
        for one in (*topology["pools"], *topology["providers"])
    )
    if any(target in gone for target in targets):
        data = resolved_data(_without(load_scenario(bundle.scenario_file), gone))
    for name, pool_name, size in _sizes(bundle):
        for pool in data["topologies"][name]["pools"]:
            if pool["name"] == pool_name:
                _open(pool, size)
        for api in data["topologies"][name]["providers"]:
            if api["name"] == pool_name:
                api["provisioned_units"] = AUTO
    for name, topology in data["topologies"].items():
        hours = _search(bundle, name).get("hours")
        for window in topology["routing"]["windows"]:
            window["hours"] = AUTO if window["hours"] == hours else window["hours"]
    return data


def _without(loaded: LoadedScenario, gone: set[tuple[str, str]]) -> LoadedScenario:
    """The scenario without some pools and token APIs, each left out as a search leaves it out."""
    for name, topology in loaded.scenario.topologies.items():
        left = {k: Fixed(0) for k, pool in enumerate(topology.pools) if (name, pool.name) in gone}
        apis = {api.name for api in topology.providers if (name, api.name) in gone}
        loaded = with_sizes(without_units(loaded, name, apis), name, left) if left or apis else loaded
    return loaded


def _open(pool: dict[str, Any], size: str) -> None:
    """Let a pool say `auto` for what was found of it."""
    number, _, instance = size.partition(" on ")
    if instance:
        pool["instance"] = None
    windows = [one for one in pool["schedule"] if _WHOLE.fullmatch(number) and one["replicas"] == int(number)]
    for one in windows:
        one["replicas"] = AUTO
    if not windows or pool["replicas"] == int(number):
        pool |= {"replicas": AUTO, "autoscaler": None}
