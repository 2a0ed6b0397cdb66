"""Run vllm-sr-sim on the requests given as JSON on stdin; prints what it took. Runs in that peer's environment."""

import json
import sys
import time

from fleet_sim import (
    A100_SXM,
    LLAMA_3_1_8B,
    Fleet,
    FleetConfig,
    PoolConfig,
    ProfileBuilder,
    Request,
    ServingConfig,
)

serving = ServingConfig(chunk=2048, max_slots=256, gpu_memory_utilization=0.92, mean_ctx_tokens=640)
profile = ProfileBuilder().build(A100_SXM, LLAMA_3_1_8B, serving)
fleet = Fleet(FleetConfig([PoolConfig("pool", profile, n_gpus=1, max_ctx=1024)], router_type="RandomRouter"))
arrivals = [
    (arrival_s, Request(number, arrival_s, isl, osl))
    for number, (arrival_s, isl, osl) in enumerate(json.load(sys.stdin))
]
start = time.perf_counter()
done = fleet.run(arrivals).completed
wall_s = time.perf_counter() - start
print(
    json.dumps(
        {
            "requests": len(done),
            "wall_s": wall_s,
            "mean_ttft_s": sum(request.ttft for request in done) / len(done),
            "mean_e2e_s": sum(request.e2e_latency for request in done) / len(done),
        }
    )
)
