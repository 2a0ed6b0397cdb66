"""Autoscalers of equal size may stand on other instances in some months: each month pays those that served it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from simulator.run.months import _spells
from simulator.run.simulate import simulate
from simulator.size.found import Limits

SCENARIO: dict[str, Any] = {
    "schema_version": 1,
    "name": "grows",
    "model": "qwen3-32b",
    "engine": {"quantization": "fp8", "max_model_len": 40960},
    "workload": {
        "classes": [
            {
                "name": "agents",
                "arrivals": {
                    "kind": "sessions",
                    "rate_rps": 4.44444,
                    "turns": {"kind": "lognormal", "mean": 8, "cv": 0.5, "max": 14},
                    "think_s": 20,
                    "user_tokens": {"kind": "lognormal", "mean": 1000, "cv": 0.5, "max": 1700},
                    "system_tokens": 6000,
                },
                "lengths": {"isl": 1000, "osl": {"kind": "lognormal", "mean": 300, "cv": 0.5, "max": 700}},
                "slo": {"ttft_s": {"p95": 3}, "tpot_s": {"p95": 0.05}},
            }
        ]
    },
    "topologies": {
        "cloud": {
            "pools": [
                {
                    "name": "rented",
                    "site": "lambda",
                    "gpu": "h100-sxm",
                    "tensor_parallel_size": 2,
                    "autoscaler": "auto",
                }
            ]
        }
    },
    "study": {
        "months": 18,
        "growth_per_year": 1.0122,
        "periods": [
            {"name": "busy", "days": "mon-fri", "hours": "8-18", "load": 1},
            {"name": "nights", "days": "mon-fri", "hours": "18-8", "load": 0.1},
            {"name": "weekends", "days": "sat-sun", "hours": "0-24", "load": 0.1},
        ],
    },
    "run": {"horizon_s": 600, "warmup_s": 120, "replications": 2, "start": "mon 8:00"},
}


def planned(replicas: int, gpus_per_server: int) -> Any:
    pool = SimpleNamespace(
        name="rented", autoscaler=None, schedule=None, replicas=replicas, gpus_per_server=gpus_per_server
    )
    return SimpleNamespace(fleet=SimpleNamespace(pools=(pool,)), settings=SimpleNamespace(providers=()))


def test_a_spell_ends_where_size_or_instance_changes() -> None:
    months = [planned(4, 2), planned(4, 2), planned(4, 4), planned(4, 2), planned(5, 2), planned(5, 2)]
    found = _spells([*enumerate(months, start=1)], ["rented"])
    assert [(spell.first, spell.planned) for spell in found] == [(k, months[k - 1]) for k in (1, 3, 4, 5)]


@pytest.mark.exhaustive
def test_months_on_larger_instances_are_paid_as_such() -> None:
    """Two replicas of two GPUs share an instance of four in the months whose autoscaler begins with two.

    What replicas hold and what instances have is compared for every bill (`month_use`).
    """
    run = simulate(SCENARIO, None, limits=Limits(max_replicas=16))
    assert len(run.table("months")) == 18
