"""How often windows of plain queues are found to grow, by load and requests: `python -m bench.growing_queues`.

M/M/1 and M/M/16 that begin empty, 400 windows each; the figures of docs/model/months.md.
"""

from __future__ import annotations

import heapq

import numpy as np

from simulator.fleet.records import RECORD
from simulator.metrics.course import Course
from simulator.rng import stream

WINDOWS = 400
SERVERS, LOADS, REQUESTS = (1, 16), (0.9, 1.08), (300, 1000, 4000)


def window(rng: np.random.Generator, servers: int, load: float, mean: int) -> Course:
    """One window of length 1 with Poisson arrivals, first come first served, service in proportion to tokens."""
    records = np.zeros(rng.poisson(mean), RECORD)
    size = rng.exponential(1.0, len(records))
    records["arrival_s"] = np.sort(rng.random(len(records)))
    records["isl"], records["prefill_target"] = np.ceil(size * 1e6), -1
    free = [0.0] * servers
    for record, served in zip(records, size * load * servers / mean, strict=True):
        record["scheduled_s"] = max(record["arrival_s"], free[0])
        heapq.heapreplace(free, record["scheduled_s"] + served)
    found = Course(0.0, 1.0)
    found.add(records)
    return found


def growing(servers: int, load: float, mean: int, windows: int = WINDOWS) -> float:
    """Share of the windows whose queue is found to grow."""
    rng = stream(5, f"windows of {servers}")
    return sum(window(rng, servers, load, mean).grows for _ in range(windows)) / windows


def main() -> None:
    for load in LOADS:
        for mean in REQUESTS:
            shares = ", ".join(f"M/M/{c} {growing(c, load, mean):.1%}" for c in SERVERS)
            print(f"load {load:.0%}, {mean:,} requests: {shares}")


if __name__ == "__main__":
    main()
