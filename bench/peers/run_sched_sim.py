"""Run sched-sim on the requests given as JSON on stdin; prints what it took. Runs in sched-sim's own environment."""

import json
import sys
import time

from sched_sim.core.event_engine import Simulator
from sched_sim.core.request import Request
from sched_sim.hardware.presets import get_hardware_profile
from sched_sim.schedulers.factory import create_scheduler

hardware = get_hardware_profile("a100")
scheduler = create_scheduler("chunked", hardware, token_budget=2048, max_batch_size=256)
simulator = Simulator(hardware, scheduler, block_size=16)
simulator.submit_workload(
    [
        Request(request_id=str(number), arrived_at=arrival_s, prompt_tokens=isl, output_tokens=osl)
        for number, (arrival_s, isl, osl) in enumerate(json.load(sys.stdin))
    ]
)
start = time.perf_counter()
metrics = simulator.run()
wall_s = time.perf_counter() - start
print(
    json.dumps(
        {
            "requests": metrics.completed_requests,
            "wall_s": wall_s,
            "mean_ttft_s": metrics.ttft_ms.mean / 1000,
            "mean_e2e_s": metrics.e2e_ms.mean / 1000,
        }
    )
)
