"""Every value of another kind, at every key, is taken or refused with a word at its place."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest

from bench.hostile.mutate import at, places
from simulator.errors import InputError, Problem
from simulator.scenario.document import join
from simulator.scenario.load import load_scenario
from simulator.schema.workload import Uniform

QUEUE = {"kind": "queue", "min": 1, "max": 3, "target_per_replica": 4}
SCENARIO: dict[str, Any] = {
    "schema_version": 1,
    "name": "kinds",
    "model": "llama-3.1-8b-instruct",
    "engine": {"max_model_len": 8192, "async_scheduling": True, "kv_offloading_size": 4.0},
    "workload": {
        "classes": [
            {
                "name": "chat",
                "arrivals": {"kind": "sessions", "rate_rps": 3.0, "turns": 2, "think_s": 1.0, "system_tokens": 10},
                "lengths": {"isl": 300, "osl": {"kind": "uniform", "low": 1, "high": 40}},
                "complexity": {"kind": "uniform", "low": 0, "high": 1},
                "slo": {"ttft_s": {"p99": 1.0}},
            }
        ]
    },
    "topologies": {
        "own": {
            "pools": [
                {"name": "p", "site": "lambda", "gpu": "h100-sxm", "autoscaler": QUEUE},
                {
                    "name": "q",
                    "site": "lambda",
                    "gpu": "h100-sxm",
                    "replicas": 2,
                    "commitments": [{"term_months": 12, "instances": 1, "price_usd_per_gpu_hour": 2.0}],
                    "hardware": {"name": "mine", "memory_gib": 70},
                    "schedule": [{"days": "mon-fri", "hours": "8-20", "replicas": 2}],
                },
            ],
            "routing": {"kind": "overflow", "order": ["p", "q"], "when": {"outstanding_per_replica": 3}},
        },
        "api": {
            "providers": [
                {
                    "name": "a",
                    "offer": "together/llama-3.3-70b",
                    "provisioned_units": 2,
                    "usd_per_unit_hour": 5.0,
                    "tokens_per_minute_per_unit": 50_000,
                    "service_tiers": {"priority": {"price_factor": {"input": 2.0, "output": 2.0}}},
                }
            ]
        },
    },
    "study": {"months": 6, "periods": [{"name": "all", "start": "tue 8:00"}]},
    "cost": {"overrides": {"onprem.spare_fraction": 0.1}},
    "run": {"horizon_s": 20},
}
VALUES = (None, True, 3, -0.5, math.nan, "", "x", "2027-13", [], [[]], [None], [1, 1], {}, {"a": 1}, {"kind": []})


def _key(steps: tuple[Any, ...]) -> str:
    path = ""
    for step in steps:
        path = join(path, step)
    return path


@pytest.mark.parametrize("place", [place for place in places(SCENARIO) if place[-1] != "name"], ids=_key)
def test_what_is_refused_is_told_at_its_place(place: tuple[Any, ...]) -> None:
    where = _key(place[:-1])
    for value in VALUES:
        tree = copy.deepcopy(SCENARIO)
        at(tree, place[:-1])[place[-1]] = value
        refused = _refused(tree)
        told = [problem for problem in refused or () if problem.message and str(problem.path).startswith(where)]
        assert refused is None or told, (value, refused)


def _refused(tree: Any) -> tuple[Problem, ...] | None:
    try:
        load_scenario(tree)
    except InputError as error:
        return error.problems
    return None


def test_a_switch_where_an_autoscaler_belongs_is_told_what_belongs_there() -> None:
    tree = copy.deepcopy(SCENARIO)
    tree["topologies"]["own"]["pools"][0]["autoscaler"] = True
    with pytest.raises(InputError, match=r"pools\[0\].autoscaler: must be a mapping of keys to values \(got True\)"):
        load_scenario(tree)


def test_a_zero_has_no_sign() -> None:
    spread = Uniform(kind="uniform", low=-0.0, high=-0.0)
    assert math.copysign(1.0, spread.low) == math.copysign(1.0, spread.high) == 1.0


def test_shared_texts_are_at_most_as_many_as_memory_holds(tmp_path: Path) -> None:
    tree = copy.deepcopy(SCENARIO)
    tree["workload"]["classes"][0]["arrivals"] = {"kind": "poisson", "rate_rps": 1.0}
    for groups, taken in ((10_000_000, True), (10_000_001, False)):
        tree["workload"]["classes"][0]["prefixes"] = {"groups": groups, "tokens": 10}
        if taken:
            load_scenario(tree)
        else:
            with pytest.raises(InputError, match="groups: must be less than or equal to 10000000"):
                load_scenario(tree)


@pytest.mark.parametrize("letter", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066"])
def test_no_text_commands_the_terminal_that_shows_it(letter: str) -> None:
    for place in ("description", "topologies"):
        tree = copy.deepcopy(SCENARIO)
        if place == "description":
            tree[place] = f"ours{letter}[31m"
        else:
            tree["topologies"]["api"]["providers"][0]["price_source"] = f"ours{letter}[31m"
        with pytest.raises(InputError, match="must have no control characters"):
            load_scenario(tree)


def test_text_of_several_lines_and_of_any_script_is_taken() -> None:
    text = "erste Zeile\n\tzweite\u00a0Zeile: \u05e9\u05dc\u05d5\u05dd, \u0645\u06cc\u200c\u0634\u0648\u062f"
    load_scenario(SCENARIO | {"description": text})
