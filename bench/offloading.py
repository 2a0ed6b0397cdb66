"""What blocks in the memory of the CPU change where prompts share more than the GPU keeps, by `bench/offloading.py`.

The same requests on one replica of Llama 3.1 8B on an A100-80, without such a memory and with ever more of it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from simulator.fleet.dataplane import DataPlane
from simulator.fleet.records import Status
from simulator.resolve.engines import plan_engine
from simulator.resolve.offloading import host_link
from simulator.run.bench import GPU, MODEL, Setting
from simulator.run.bench import fleet_spec as bench_spec
from simulator.schema.engine import EngineSettings
from simulator.study.fleet import FleetSpec
from simulator.workload.source import build_source
from simulator.workload.spec import ClassWorkload, Constant, Lognormal, Poisson, Prefixes, WorkloadSpec

GROUPS, SHARED, OWN, OSL = 400, 4096, 256, 128
"""Beginnings, all of the same popularity, their tokens, and those of the rest of a prompt and of an answer."""
SIZES_GIB = (0, 64, 128, 256)
RATES_RPS = (2.0, 4.0, 8.0)
REQUESTS = 4_000


def spec_of(size_gib: float) -> tuple[FleetSpec, int]:
    """The fleet, and how many tokens its GPU keeps."""
    settings = EngineSettings(quantization="none", endpoint="completions", kv_offloading_size=size_gib or None)
    planned = plan_engine(MODEL, GPU, 1, 1, settings, Path())
    spec = bench_spec(Setting(prefix_caching=True))
    pool = replace(spec.pools[0], engine=planned.config, step_time=planned.step_time)
    if size_gib:
        pool = replace(pool, kv_transfer=host_link(planned.machine, planned.memory.block_bytes, 1))
    return replace(spec, pools=(pool,)), planned.config.num_blocks * planned.config.block_size


def run(size_gib: float, rate_rps: float) -> tuple[float, float, float, float, int]:
    """Shares of the prompt tokens that were not computed, and that were loaded; TTFT in s: mean and p95; steps."""
    spec, _ = spec_of(size_gib)
    prefixes = Prefixes(GROUPS, Constant(SHARED))
    work = ClassWorkload("bench", Poisson(rate_rps), Constant(SHARED + OWN), Lognormal(OSL, 0.6), prefixes)
    source = build_source(WorkloadSpec((work,)), REQUESTS / rate_rps, 0)
    ttft: list[np.ndarray] = []

    def sink(records: np.ndarray) -> None:
        done = records[records["status"] == Status.COMPLETED]
        ttft.append(done["first_token_s"] - done["arrival_s"])

    plane = DataPlane(spec, source, (1,), 0, sink)
    plane.activate(0, 0.0)
    plane.advance(np.inf)
    plane.drain_records()
    replica, every = plane.engines.replicas[0], np.concatenate(ttft)
    loaded = int(plane.engines.offload.replicas[0]["loaded_tokens"]) if size_gib else 0
    prompt = int(replica["input_tokens"])
    return (
        int(replica["cached_tokens"]) / prompt,
        loaded / prompt,
        float(every.mean()),
        float(np.quantile(every, 0.95)),
        int(replica["steps"]),
    )


def main() -> None:
    print(f"The GPU keeps {spec_of(0)[1]:,} tokens; the beginnings are {GROUPS * SHARED:,}.")
    print("| requests/s | memory | not computed | of it loaded | TTFT | p95 | steps |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for rate_rps in RATES_RPS:
        for size_gib in SIZES_GIB:
            found, loaded, mean_s, p95_s, steps = run(size_gib, rate_rps)
            print(
                f"| {rate_rps:g} | {size_gib} GiB | {found:.1%} | {loaded / found:.0%} | {mean_s * 1e3:,.0f} ms "
                f"| {p95_s * 1e3:,.0f} ms | {steps:,} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
