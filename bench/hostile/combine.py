"""Several optional keys at once, each of which the scenario takes beside those before it; run in full, and added up."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from bench.hostile.attempt import command
from bench.hostile.chat import LIMITS, QUIET, Run
from bench.hostile.draw import WORDS, value_of
from bench.hostile.mutate import text_of
from simulator.errors import InputError, collect
from simulator.resolve.sizes import at_start
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.jsonschema import json_schema
from simulator.scenario.load import load_scenario

LEAST, MOST, TRIES = 6, 9, 40
STAY = {"name", "pools", "providers", "classes", "kind", "schema_version", "model", "gpu", "site", "offer", "hardware"}
STAY |= {"profile", "file", "horizon_s", "warmup_s", "drain_s", "draws", "replications"}
_ROUNDED = 1e-6


def _pool(**more: Any) -> dict[str, Any]:
    return {"name": "p0", "gpu": "h100-sxm", "site": "datacentre", "billing": "owned"} | more


_CLOUD = {"site": "aws-us-east", "billing": "on_demand"}
_SCALED = {"kind": "queue", "min": 1, "max": 3, "target_per_replica": 4}


def combined(rng: Random, folder: Path) -> Run:
    """A scenario of short traffic on one of six fleets, with as many keys more as it takes."""
    tree, taken = _base(rng), 0
    for _ in range(TRIES):
        path, key, node = rng.choice(list(_places(tree)))
        tried = copy.deepcopy(tree)
        section = _at(tried, path)
        if key in section:
            continue
        section[key] = value_of(node, key, rng)
        if _is_taken(tried, folder):
            tree, taken = tried, taken + 1
        if taken == MOST:
            break
    file, out = folder / "combined.yaml", folder / "runs"
    file.write_text(text_of(tree))
    options = ("--search-seconds", "2", "--max-replicas", "4")
    run = command("run", str(file), "--out", str(out), *QUIET, *options, *LIMITS)
    return added_up(run, out) if taken >= LEAST else run


def added_up(run: Run, out: Path) -> Run:
    """The run, whose figures are then looked through."""

    def checked() -> int:
        code = run()
        if code in (0, 1) and (wrong := sorted(_wrong(out))):
            raise AssertionError(f"figures: {wrong[:5]}")
        return code

    return checked


def _base(rng: Random) -> dict[str, Any]:
    provider = {"name": "a0", "offer": WORDS["offer"](rng)}
    topology: dict[str, Any] = rng.choice(
        (
            {"pools": [_pool()]},
            {"pools": [_pool(**_CLOUD)]},
            {"pools": [_pool(role="prefill"), _pool(name="p1", role="decode")]},
            {"pools": [_pool(**_CLOUD)], "providers": [provider]},
            {"pools": [_pool(**_CLOUD, autoscaler=dict(_SCALED))]},
            {"providers": [provider]},
        )
    )
    cls = {"name": "c0", "arrivals": {"kind": "poisson", "rate_rps": 2.0}, "lengths": {"isl": 200, "osl": 20}}
    return {
        "schema_version": 1,
        "name": "combined",
        "model": "llama-3.1-8b-instruct",
        "engine": {},
        "workload": {"classes": [cls]},
        "topologies": {"t0": topology},
        "study": {},
        "cost": {"draws": 5},
        "run": {"horizon_s": 12, "warmup_s": 1, "drain_s": 20, "replications": 1},
    }


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _places(tree: dict[str, Any]) -> Iterator[tuple[tuple[Any, ...], str, dict[str, Any]]]:
    """Sections of the scenario, and the keys that may stand in each."""
    sections: list[tuple[tuple[Any, ...], str]] = [
        (("engine",), "EngineSettings"),
        (("cost",), "CostSettings"),
        (("study",), "StudySettings"),
        (("run",), "RunSettings"),
        (("workload", "classes", 0), "RequestClass"),
        (("topologies", "t0"), "Topology"),
    ]
    for name, kind in (("pools", "Pool"), ("providers", "Provider")):
        count = len(tree["topologies"]["t0"].get(name, ()))
        sections += [(("topologies", "t0", name, k), kind) for k in range(count)]
    for path, kind in sections:
        for key, node in _schema()["definitions"][kind]["properties"].items():
            if key not in STAY:
                yield path, key, node


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _is_taken(tree: Any, folder: Path) -> bool:
    file = folder / "tried.yaml"
    file.write_text(text_of(tree))
    try:
        collect(resolve_terms, plan_topologies(at_start(load_scenario(file))))
    except InputError:
        return False
    return True


def _wrong(out: Path) -> Iterator[str]:
    """Figures that are none, and bills that are not the sum of their lines."""
    for file in out.rglob("*.json"):
        yield from (f"{word} in {file.name}" for word in ("NaN", "Infinity") if word in file.read_text())
    for file in out.rglob("*.parquet"):
        table = pq.read_table(file)
        for name in (field.name for field in table.schema if str(field.type) in ("double", "float")):
            if np.isinf(table[name].to_numpy()).any():
                yield f"infinite {name} in {file.name}"
    for file in out.glob("[!.]*/summary.json"):
        bill = pq.read_table(file.with_name("costs.parquet"), columns=["topology", "usd_per_month"]).to_pandas()
        for name, topology in json.loads(file.read_text())["topologies"].items():
            cost = topology["cost"]
            lines = float(bill.loc[bill["topology"] == name, "usd_per_month"].sum())
            for what, total in (("lines", lines), ("classes", sum(part["usd_per_month"] for part in cost["split"]))):
                if not math.isclose(total, cost["usd_per_month"], rel_tol=_ROUNDED, abs_tol=_ROUNDED):
                    yield f"{name}: {what} of {total} are a bill of {cost['usd_per_month']}"
