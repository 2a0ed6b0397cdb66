"""A replica that is lost takes the grammars with it that its requests waited for: the next one compiles them anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fleet_cases import ENGINE, Source, evenly, fleet, pool

from simulator.engine.modes.spec import Modes
from simulator.fleet.dataplane import DataPlane
from simulator.run.simulate import simulate
from simulator.study.choices import TargetRouting
from simulator.study.fleet import ClassSpec, KvTransfer, RoutingSpec
from simulator.workload.requests import make_extras

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


@pytest.mark.rare_kernels
def test_a_prefill_that_is_lost_takes_its_request_back_from_a_decode_side_that_compiles_its_grammar() -> None:
    """A timer that stayed woke the decode replica, which may be gone by then."""
    engine = replace(ENGINE, modes=Modes(connector=True, grammars=True))
    limits = {"engine": engine, "kv_transfer": KvTransfer(1.0, 1e9, 0.0, 1.0)}
    pools = (pool("decode", 1, **limits), pool("prefill", 1, hands_to=0, **limits))
    spec = fleet(
        pools, routing=RoutingSpec(TargetRouting.WEIGHTED, (1,)), classes=(ClassSpec("a", (True,) * 2, 0.0, 2),)
    )
    requests = replace(evenly(1, 1.0, 20, 4), extras=make_extras(1, grammar_s=np.array([COMPILE_S])))
    plane = DataPlane(spec, Source((requests,)), (1, 1), 1, lambda records: None)
    for r in range(2):
        plane.activate(r, 0.0)
    plane.advance(1.5 * COMPILE_S)
    waits_s = plane.engines.rooms.slots["grammar_ready_s"]
    assert (waits_s > 1.5 * COMPILE_S).sum() == 1
    plane.lose(1, 1.5 * COMPILE_S)
    assert (waits_s == 0.0).all()
