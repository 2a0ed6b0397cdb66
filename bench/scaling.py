"""Time against the number of requests, and the peak memory of the largest run: `python bench/scaling.py`.

Each size runs in a process of its own, so that its peak resident memory is its own. Requests are drawn chunk by chunk
while the run goes on, as in every simulation.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

from simulator.run.bench import Setting, bench_source, fleet_spec, load_rps, measure, warm_up

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
KIB = 1024
SMALLEST_TIMED_REQUESTS = 100_000
"""Smaller runs are repeated until they add up to this many, and the shortest counts."""


def run_one(requests: int) -> dict[str, float]:
    """Time one size in this process: wall-clock seconds, and the peak resident memory in bytes."""
    setting = Setting()
    warm_up(setting)
    rate_rps = load_rps(setting)
    spec = fleet_spec(setting)
    before = _peak_bytes()
    repeats = max(1, SMALLEST_TIMED_REQUESTS // requests)
    runs = [measure(spec, bench_source(setting, rate_rps, requests)) for _ in range(repeats)]
    best = min(runs, key=lambda run: run.simulation_s)
    return {
        "requests": best.requests,
        "simulation_s": best.simulation_s,
        "generation_s": best.generation_s,
        "requests_per_s": best.requests_per_s,
        "steps": best.steps,
        "before_bytes": before,
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, help="run this one size here and print it as JSON")
    one = parser.parse_args().requests
    if one:
        print(json.dumps(run_one(one)))
        return
    print("| requests | simulation s | drawing s | µs per request | steps | peak memory MiB |")
    print("|---:|---:|---:|---:|---:|---:|")
    for size in SIZES:
        command = [sys.executable, __file__, "--requests", str(size)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(
            f"| {result['requests']:,} | {result['simulation_s']:.4f} | {result['generation_s']:.4f} "
            f"| {1e6 * result['simulation_s'] / result['requests']:.2f} | {result['steps']:,} "
            f"| {result['peak_bytes'] / KIB**2:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
