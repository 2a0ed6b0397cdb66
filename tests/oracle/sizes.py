"""Sizes found the long way: every point of a small space, each written into the scenario and run on its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

Sets = tuple[str, ...]


def run_at(file: Path, topology: str, sets: Sets, out: Path) -> dict[str, Any]:
    """Summary of a topology with these assignments."""
    return simulate(load_scenario(file, sets=list(sets)), out).summary["topologies"][topology]


def numbers(pools: Sequence[str], topology: str, most: int, least: int = 1) -> Iterator[Sets]:
    """Every number of replicas for each pool."""
    for point in itertools.product(range(least, most + 1), repeat=len(pools)):
        yield tuple(f"topologies.{topology}.pools[{name}].replicas={n}" for name, n in zip(pools, point, strict=True))


def cheapest(
    file: Path, topology: str, spaces: Iterator[Sets], out: Path, sets: Sets = ()
) -> tuple[Sets, float] | None:
    """The cheapest assignments of which the whole run says that every SLO term is met, and their bill."""
    best: tuple[Sets, float] | None = None
    for point in spaces:
        found = run_at(file, topology, (*sets, *point), out)
        usd = float(found["cost"]["usd_per_month"])
        if found["metrics"]["slo_met"] and (best is None or usd < best[1]):
            best = point, usd
    return best
