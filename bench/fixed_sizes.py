"""The quickstart at sizes that are written, by this version and by one of 2026-11-24 whose quickstart had them.

`python bench/fixed_sizes.py ../before` takes a checkout of the version before sizes were searched and months decided
(the last of 2026-11-24). Both are run in turn, each in a process of its own and as one process, with the same sizes
and the same three replications of the same traffic; nothing is kept from a run before, and there is no advice on other
sizes, which the older version did not give. CPU-seconds are compared within a round.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

SCENARIO = "scenarios/quickstart.yaml"
SIZES = {
    "on_prem.pools[base].replicas": "4",
    "cloud.pools[rented].autoscaler": "{kind: queue, min: 2, max: 6, target_per_replica: 48}",
    "hybrid.pools[base].replicas": "2",
    "hybrid.pools[burst].autoscaler": "{kind: queue, min: 0, max: 4, target_per_replica: 24}",
}
"""As the older quickstart has them."""
NOW = ["--fresh", "--no-advice", "--jobs", "1"]


def spent(root: Path, options: list[str]) -> tuple[float, float]:
    """CPU-seconds and wall-clock seconds of one run of the quickstart in a checkout."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "simulator.cli", "run", SCENARIO, "--quiet", "--out", out, *options]
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(
            command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}, stdout=subprocess.DEVNULL, check=True
        )
        after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall_s


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path, help="a checkout of the older version")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    written = [part for key, size in SIZES.items() for part in ("--set", f"topologies.{key}={size}")]
    versions: dict[str, tuple[Path, list[str]]] = {
        "before": (given.before.resolve(), []),
        "now": (Path(__file__).resolve().parents[1], [*NOW, *written]),
    }
    for root, options in versions.values():
        spent(root, options)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in versions}
    for k in range(given.rounds):
        for name in list(versions)[:: 1 if k % 2 == 0 else -1]:
            found[name].append(spent(*versions[name]))
    print("| version | CPU-s | wall clock s |")
    print("|---|---|---|")
    for name, runs in found.items():
        cpu, wall = (", ".join(f"{run[k]:.1f}" for run in runs) for k in (0, 1))
        print(f"| {name} | {cpu} | {wall} |")
    by = [now[0] / before[0] for now, before in zip(found["now"], found["before"], strict=True)]
    print(f"CPU-seconds now by those before: {median(by):.2f} ({min(by):.2f} to {max(by):.2f})")


if __name__ == "__main__":
    main()
