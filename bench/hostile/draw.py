"""Random scenarios drawn from the scenario's own schema, so that new keys are drawn as soon as they are there."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.mutate import at, text_of
from simulator.catalog.gpus import gpus
from simulator.catalog.models import models
from simulator.catalog.sites import sites
from simulator.catalog.tokens import token_offers
from simulator.errors import InputError, collect
from simulator.resolve.sizes import at_start
from simulator.resolve.terms import resolve_terms
from simulator.resolve.topology import plan_topologies
from simulator.scenario.jsonschema import json_schema
from simulator.scenario.load import load_scenario

MOST_TRIES = 25
STAYS = ("classes", "topologies", "lengths")
STEADY = {"kind": "poisson", "rate_rps": 2.0}
BASE: dict[str, Any] = {
    "schema_version": 1,
    "name": "drawn",
    "model": "llama-3.1-8b-instruct",
    "workload": {"classes": []},
    "topologies": {},
    "cost": {"draws": 20},
    "run": {"horizon_s": 30},
}
WORDS: dict[str, Callable[[Random], str]] = {
    "gpu": lambda rng: rng.choice(sorted(gpus())),
    "site": lambda rng: rng.choice(sorted(sites())),
    "model": lambda rng: rng.choice(("llama-3.1-8b-instruct", "qwen3-14b", *sorted(models()))),
    "offer": lambda rng: rng.choice(sorted(token_offers())),
    "version": lambda rng: rng.choice(("0.11.0", "0.20.0", "0.10.2")),
    "first_month": lambda rng: rng.choice(("2026-01", "2027-06")),
    "days": lambda rng: rng.choice(("mon-fri", "sat, sun", "tue")),
    "hours": lambda rng: rng.choice(("8-20", "22-6", "0-24", "8:30-17")),
    "start": lambda rng: rng.choice(("mon 00:00", "fri 9:30", "2026-03-02 8:00")),
    "time_zone": lambda rng: rng.choice(("UTC", "Europe/Berlin", "Asia/Kolkata")),
    "holidays": lambda rng: rng.choice(("DE", "DE-BE", "US")),
}
"""What text means by its key; other text is a name."""
# fmt: off
ABOUT = {
    "horizon_s": 30.0, "warmup_s": 1.0, "drain_s": 30.0, "rate_rps": 2.0, "isl": 300.0, "osl": 50.0, "months": 6.0,
    "replications": 1.0, "replicas": 1.0, "sample_s": 1.0, "period_s": 5.0, "max_model_len": 8192.0, "requests": 30.0,
    "concurrency": 3.0, "max_num_batched_tokens": 4096.0, "max_num_seqs": 64.0, "draws": 20.0,
    "num_gpu_blocks_override": 4000.0, "tensor_parallel_size": 1.0, "pipeline_parallel_size": 1.0,
    "data_parallel_size": 1.0, "block_size": 16.0, "low": 5.0, "high": 500.0, "value": 100.0, "mean": 200.0,
    "min": 1.0, "max": 2.0, "tokens": 200.0, "turns": 3.0, "user_tokens": 50.0, "window_h": 0.005, "kinds": 2.0,
    "hours_per_month": 200.0, "price_usd_per_gpu_hour": 2.0, "memory_gib": 79.0, "bandwidth_gb_per_s": 3000.0,
    "max_context_tokens": 32000.0, "p99": 1.0, "p95": 0.5, "p90": 0.5, "p50": 0.2, "num_speculative_tokens": 3.0,
    "groups": 5.0, "load": 1.0, "peaks_tflops": 900.0, "seed": 1.0, "from_month": 2.0,
}
# fmt: on
"""About what a number is where it is usual."""


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def drawn(rng: Random, folder: Path) -> dict[str, Any]:
    """A scenario of short traffic with keys drawn from the schema; what is refused is taken out again, key by key."""
    tree = _drawn(rng)
    for _ in range(MOST_TRIES):
        file = folder / "tried.yaml"
        file.write_text(text_of(tree))
        try:
            collect(resolve_terms, plan_topologies(at_start(load_scenario(file))))
            break
        except InputError as error:
            removed = [_without(tree, problem.path or "") for problem in error.problems]
            if not any(removed):
                break
    return tree


def _without(tree: Any, path: str) -> bool:
    """Take out what stands at a path, or the closest section around it; the sections that every scenario has stay."""
    steps = [int(step) if step.isdecimal() else step for step in re.findall(r"[^.\[\]]+", path)]
    while len(steps) > 1:
        key = steps.pop()
        try:
            parent = at(tree, tuple(steps))
            old = parent[key]
        except (KeyError, IndexError, TypeError):
            continue
        if key in STAYS or (steps[-1] in STAYS and len(parent) == 1):
            return False
        if key == "arrivals":
            if old == STEADY:
                return False
            parent[key] = dict(STEADY)
        else:
            del parent[key]
        return True
    return False


def _drawn(rng: Random) -> dict[str, Any]:
    tree = copy.deepcopy(BASE)
    known = _schema()["definitions"]
    for name in ("engine", "cost", "study", "run"):
        if rng.random() < 0.6:
            section = _object(known[_ref(_schema()["properties"][name])], rng, 0.12)
            tree[name] = section | tree.get(name, {})
    for k in range(rng.randint(1, 2)):
        tree["workload"]["classes"].append(_class(rng, k))
    for k in range(rng.randint(1, 2)):
        tree["topologies"][f"t{k}"] = _topology(rng)
    if rng.random() < 0.1:
        tree["servers"] = [_object(known["Servers"], rng, 0.3)]
    return tree


def _class(rng: Random, k: int) -> dict[str, Any]:
    cls = _object(_schema()["definitions"]["RequestClass"], rng, 0.15)
    cls |= {"name": f"c{k}"}
    while cls["arrivals"]["kind"] in ("profile", "trace"):
        cls["arrivals"] = _value(
            _schema()["definitions"]["RequestClass"]["properties"]["arrivals"], "arrivals", rng, 0.15
        )
    cls.setdefault("lengths", {"isl": rng.randint(1, 600), "osl": rng.randint(1, 80)})
    return cls


def _topology(rng: Random) -> dict[str, Any]:
    known = _schema()["definitions"]
    topology = _object(known["Topology"], rng, 0.1)
    named = rng.choice((["p0"], ["p0"], ["p0", "p1"], ["a0"], ["p0", "a0"]))
    topology["pools"] = [_pool(rng, name) for name in named if name[0] == "p"]
    topology["providers"] = [
        {"offer": WORDS["offer"](rng)} | _object(known["Provider"], rng, 0.1) | {"name": name}
        for name in named
        if name[0] == "a"
    ]
    if len(named) < 2 or rng.random() < 0.5:
        topology.pop("routing", None)
    return topology


def _pool(rng: Random, name: str) -> dict[str, Any]:
    pool = _object(_schema()["definitions"]["Pool"], rng, 0.07) | {"name": name}
    if rng.random() < 0.7:
        pool |= {"gpu": "h100-sxm", "site": rng.choice(("datacentre", "lambda", "aws-us-east-1"))}
        pool["site"] = pool["site"] if pool["site"] in sites() else "datacentre"
        pool["billing"] = "owned" if pool["site"] == "datacentre" else pool.get("billing", "on_demand")
    if isinstance(pool.get("hardware"), str):
        del pool["hardware"]
    for key in ("replicas", "autoscaler"):
        if pool.get(key) == "auto" and rng.random() < 0.9:
            del pool[key]
    return pool


def _ref(node: dict[str, Any]) -> str:
    reference = node.get("$ref") or node["allOf"][0]["$ref"]
    return str(reference).rsplit("/", 1)[-1]


def _object(node: dict[str, Any], rng: Random, share: float) -> dict[str, Any]:
    needed = node.get("required", ())
    return {
        key: _value(field, key, rng, share)
        for key, field in node.get("properties", {}).items()
        if key in needed or rng.random() < share
    }


def value_of(node: dict[str, Any], key: str, rng: Random) -> Any:
    """What may stand at a key, by its part of the schema, with a few of its own optional keys."""
    return _value(node, key, rng, 0.2)


def _value(node: dict[str, Any], key: str, rng: Random, share: float) -> Any:
    if "$ref" in node or "allOf" in node:
        return _value(_schema()["definitions"][_ref(node)], key, rng, share)
    if options := node.get("anyOf") or node.get("oneOf"):
        return _value(rng.choice([each for each in options if each.get("type") != "null"] or options), key, rng, share)
    if "enum" in node:
        return rng.choice(node["enum"])
    if "const" in node:
        return node["const"]
    match node.get("type"):
        case "object" if "properties" in node:
            return _object(node, rng, share)
        case "object":
            inner = node.get("additionalProperties", {})
            names = node.get("propertyNames", {}).get("enum") or ["p0", "c0", "a0"]
            return {rng.choice(names): _value(inner, key, rng, share)} if isinstance(inner, dict) else {}
        case "array":
            items = node.get("items", {})
            each = items if isinstance(items, list) else [items] * max(node.get("minItems", 1), 1)
            return [_value(item, key, rng, share) for item in each]
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            return max(math.ceil(_number(node, key, rng)), int(node.get("minimum", 0)))
        case "number":
            return _number(node, key, rng)
        case _:
            return WORDS[key](rng) if key in WORDS else rng.choice(("p0", "a0", "c0", "p1"))


def _number(node: dict[str, Any], key: str, rng: Random) -> float:
    low = node.get("minimum", node.get("exclusiveMinimum", -math.inf))
    high = node.get("maximum", node.get("exclusiveMaximum", math.inf))
    if rng.random() < 0.08 and math.isfinite(low):
        return float(low) if "minimum" in node else low + 1e-6
    if rng.random() < 0.05 and math.isfinite(high):
        return float(high) if "maximum" in node else high - 1e-6
    if key not in ABOUT and math.isfinite(low) and math.isfinite(high) and high - low <= 1.0:
        return round(rng.uniform(low, high), 6)
    value = ABOUT.get(key, 1.0) * rng.choice((1, 1, 1, 2, 0.5, 10 ** rng.uniform(-2, 2)))
    return float(min(max(value, low + 1e-6), high - 1e-6)) if math.isfinite(low) or math.isfinite(high) else value
