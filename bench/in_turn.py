"""Speed of this version by that of an older one, in turn: `python bench/in_turn.py ../before`, a checkout of it.

Both are asked for the same run one after the other, each in a process of its own, and CPU-seconds are compared within
a round: other work on the machine moves both. Shown is the median of the rounds, and the lowest and highest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from simulator.run import bench

RATE_RPS = 8.0
KINDS: dict[str, dict[str, bool]] = {
    "plain": {},
    "plans in flight": {"asynchronous": True},
    "two KV cache groups": {"windows": True},
    "two groups, plans in flight": {"windows": True, "asynchronous": True},
}
"""Of each, what a version is asked for; the first is what an older one is asked for."""


class Version:
    """A checkout that is asked for runs, with its kernels warm."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--answer"],
            env=os.environ | {"PYTHONPATH": str(root.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def requests_per_cpu_s(self, kind: str, cached: bool, requests: int) -> float:
        assert self._process.stdin
        assert self._process.stdout
        print(kind, "cached" if cached else "", requests, sep="|", file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def answer() -> None:
    """For each line with a kind and a number of requests, the requests per CPU second of one run."""
    for line in sys.stdin:
        kind, cached, requests = line.rstrip().split("|")
        setting = bench.Setting(prefix_caching=cached == "cached", **KINDS[kind])
        run = bench.measure(bench.fleet_spec(setting), bench.bench_source(setting, RATE_RPS, int(requests)))
        print(run.requests / run.simulation_cpu_s, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path, nargs="?", help="an older checkout")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS)
    parser.add_argument("--prefix-caching", action="store_true")
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer:
        answer()
        return
    now, before = Version(Path(__file__).resolve().parents[1]), Version(given.before)
    runs = [(before, "plain"), *((now, kind) for kind in dict.fromkeys(["plain", *given.kinds]))]
    for version, kind in runs:
        version.requests_per_cpu_s(kind, given.prefix_caching, bench.WARM_UP_REQUESTS)
    speeds: list[list[float]] = [[] for _ in runs]
    for k in range(given.rounds):
        for i in range(len(runs))[:: 1 if k % 2 == 0 else -1]:
            version, kind = runs[i]
            speeds[i].append(version.requests_per_cpu_s(kind, given.prefix_caching, given.requests))
    print("| kind | requests per CPU second | by plain before | by plain now |")
    print("|---|---:|---:|---:|")
    for (version, kind), speed in zip(runs, speeds, strict=True):
        name = kind if version is now else f"{kind}, before"
        print(f"| {name} | {median(speed):,.0f} | {_by(speed, speeds[0])} | {_by(speed, speeds[1])} |")
    now.close()
    before.close()


def _by(speeds: list[float], others: list[float]) -> str:
    ratios = [ours / theirs for ours, theirs in zip(speeds, others, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
