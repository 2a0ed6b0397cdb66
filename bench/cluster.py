"""What a cluster costs beside the local pool: the same sweep on as many cores of this machine, in turn.

    python -m bench.cluster --points 40 --rounds 2

needs `pip install 'servecast[ray]'`. Simulations take about a second of one core.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

from simulator.cluster import joined
from simulator.sweep.grid import read_sweep
from simulator.sweep.sweep import run_sweep

SCENARIO = Path(__file__).resolve().parents[1] / "tests/data/scenarios/sized.yaml"


def main() -> None:
    """Print wall-clock seconds of each round and the median ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--points", type=int, default=40)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--horizon", type=float, default=3000.0, help="simulated seconds of a point")
    options.add_argument("--cores", type=int, default=2)
    options.add_argument("--ray-address", default="")
    given = options.parse_args()
    only = "topologies={two: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}"
    rate = "workload.classes[chat].arrivals.rate_rps=80"
    sets = ["run.replications=1", f"run.horizon_s={given.horizon}", rate, only]
    seeds = ",".join(map(str, range(given.points)))
    sweep = read_sweep(SCENARIO, [f"run.seed={seeds}"], sets=sets)
    ratios = []
    with joined(given.ray_address) as cluster, tempfile.TemporaryDirectory() as folder:
        warm = read_sweep(SCENARIO, ["run.seed=90001,90002,90003,90004"], sets=sets)
        run_sweep(warm, Path(folder) / "warm", cluster=cluster)
        for number in range(given.rounds):
            walls = []
            for name, machines in (("local", None), ("ray", cluster)):
                began = time.perf_counter()
                jobs = given.cores if machines is None else None
                run_sweep(sweep, Path(folder) / f"{name}{number}", jobs, cluster=machines)
                walls.append(time.perf_counter() - began)
            ratios.append(walls[1] / walls[0])
            each = walls[0] * given.cores / given.points
            print(f"local {walls[0]:.1f} s ({each:.2f} s a point and core), Ray {walls[1]:.1f} s: {ratios[-1]:.3f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"median ratio {statistics.median(ratios):.3f}; peak memory of the command {peak:.0f} MiB")


if __name__ == "__main__":
    main()
