"""A replica that is lost takes the grammars with it that its requests waited for: the next one compiles them anew."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.run.simulate import simulate

COMPILE_S, FAILS_S = 1.0, 2.0


def scenario(replicas: int, max_retries: int) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "lost",
        "model": "llama-3.1-8b-instruct",
        "engine": {"max_model_len": 2048},
        "workload": {
            "classes": [
                {
                    "name": "c",
                    "arrivals": {"kind": "poisson", "rate_rps": 4.0},
                    "structured_outputs": {"compile_s": COMPILE_S},
                    "max_retries": max_retries,
                    "lengths": {"isl": 20, "osl": 4},
                }
            ]
        },
        "topologies": {
            "t": {
                "pools": [
                    {
                        "name": "p",
                        "site": "lambda",
                        "gpu": "h100-sxm",
                        "replicas": replicas,
                        "price_usd_per_gpu_hour": 2.0,
                        "server_failures": [{"start_s": FAILS_S, "duration_s": 60.0}],
                    }
                ]
            }
        },
        "cost": {"draws": 0},
        "run": {"horizon_s": 6, "warmup_s": 0, "drain_s": 10},
    }


@pytest.mark.rare_kernels
def test_the_next_replica_compiles_a_grammar_anew() -> None:
    rows = simulate(scenario(2, 3), None).table("requests")
    begins_s = rows["arrival_s"].where(rows["retries"] == 0, FAILS_S)
    assert (rows["retries"] > 0).any()
    assert (rows["status"] == "completed").all()
    assert (rows["scheduled_s"] >= begins_s + COMPILE_S - 1e-9).all()


@pytest.mark.rare_kernels
@pytest.mark.parametrize("max_retries", [0, 3])
def test_a_run_ends_without_the_replica_for_which_grammars_were_compiled(max_retries: int) -> None:
    """The engine that was gone was woken by their timers, and went on for ever without a plan."""
    rows = simulate(scenario(1, max_retries), None).table("requests")
    done = rows["status"] == "completed"
    assert done.any()
    assert (rows["finish_s"][done] < FAILS_S + 0.1).all()
    assert (rows["arrival_s"][~done] > FAILS_S - COMPILE_S - 0.2).all()
