"""What a cluster costs beside the local pool: the same sweep on as many cores of this machine, in turn.

    python -m bench.cluster --points 40 --rounds 2

needs `pip install 'servecast[ray]'`. Simulations take about a second of one core. Without Ray, two processes of the
local pool against one, in turn; and what one process does before the first simulation, of any scenario:

    python -m bench.cluster --two --points 40 --rounds 3
    python -m bench.cluster --look scenarios/quickstart.yaml --points 100

A sweep that is killed at half of its points and begun again, against one at once, in the local pool unless there is a
`--ray-address`: whether the bundles are the same, and memory of the commands.

    python -m bench.cluster --killed --points 10000 --horizon 20 --rate 3

Tasks of the cluster that do nothing but answer with as many bytes as a simulated point has, and what the command takes
after each tenth of them:

    python -m bench.cluster --tasks 100000
"""

from __future__ import annotations

import argparse
import operator
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from simulator.cluster import Cluster, joined
from simulator.run.fingerprint import program
from simulator.sweep.grid import Sweep, read_sweep
from simulator.sweep.sweep import run_sweep
from simulator.sweep.tasks import points_and_tasks

SCENARIO = Path(__file__).resolve().parents[1] / "tests/data/scenarios/sized.yaml"
_ANSWER_BYTES = 5_000


def main() -> None:
    """Print wall-clock seconds of each round and the median ratio."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--points", type=int, default=40)
    options.add_argument("--rounds", type=int, default=2)
    options.add_argument("--horizon", type=float, default=3000.0, help="simulated seconds of a point")
    options.add_argument("--ray-address", default="")
    options.add_argument("--rate", type=float, default=80.0, help="requests/s of a point")
    options.add_argument("--killed", action="store_true", help="kill a sweep at half of its points and begin it again")
    options.add_argument("--into", metavar="FOLDER", help="the sweep alone, kept there")
    options.add_argument("--local", type=int, metavar="CORES", help="the local pool alone, once")
    options.add_argument("--two", action="store_true", help="the local pool alone, with one process and with two")
    options.add_argument("--look", type=Path, metavar="SCENARIO", help="CPU time of looking through its points")
    options.add_argument("--tasks", type=int, help="so many that do nothing: memory of the command")
    given = options.parse_args()
    if given.look:
        print(f"{looked_ms(given.look, given.points):.1f} ms of CPU a point")
        return
    if given.tasks:
        with joined(given.ray_address) as cluster:
            flat(cluster, given.tasks)
        return
    if given.into:
        _into(given)
        return
    if given.killed:
        raise SystemExit(_killed(given))
    if given.local:
        print(wall_s(swept(given), given.local))
        return
    if given.two:
        _two(given)
        return
    ratios = []
    with joined(given.ray_address) as cluster:
        cores = cluster.cores()
        # workers are there afterwards, and have their kernels
        wall_s(swept(given, seeds="90001,90002,90003,90004"), None, cluster)
        for _ in range(given.rounds):
            local = _alone_s(given, cores)
            ray = wall_s(swept(given), None, cluster)
            ratios.append(ray / local)
            each = local * cores / given.points
            print(f"local {local:.1f} s ({each:.2f} s a point and core), Ray {ray:.1f} s: {ratios[-1]:.3f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.3f}; peak memory of the command {_peak_mib():.0f} MiB")


def flat(cluster: Cluster, count: int) -> list[float]:
    """Print the rate of tasks that do nothing, and memory of this process after each tenth of them, in MiB."""
    began, found = time.perf_counter(), [_resident_mib()]
    for done, _ in enumerate(cluster.results(operator.mul, bytes(_ANSWER_BYTES), [1] * count, program), start=1):
        if done % max(count // 10, 1) == 0:
            found.append(_resident_mib())
    rate = count / (time.perf_counter() - began)
    print(f"{count:,} tasks, {rate:,.0f} a second, MiB of the command: {', '.join(f'{mib:.0f}' for mib in found)}")
    return found


def _two(given: argparse.Namespace) -> None:
    """Print how many times as fast two processes are as one, each round and the median, and what both used."""
    ratios = []
    for _ in range(given.rounds):
        began_s = _used_s()
        one, between_s = _alone_s(given, 1), _used_s()
        two, ended_s = _alone_s(given, 2), _used_s()
        ratios.append(one / two)
        used = f"{between_s - began_s:.1f} and {ended_s - between_s:.1f} CPU-s"
        print(f"one {one:.1f} s, two {two:.1f} s: {ratios[-1]:.2f} ({used})", flush=True)
    print(f"median {statistics.median(ratios):.2f}")


def _killed(given: argparse.Namespace) -> int:
    """Print what a sweep that is killed and begun again takes and leaves; 1 where it differs from one at once."""
    command = [*_command(given), f"--ray-address={given.ray_address}"]
    with tempfile.TemporaryDirectory() as name:
        whole, again = Path(name, "whole"), Path(name, "again")
        for folder, is_killed in ((whole, False), (again, True), (again, False)):
            began = time.perf_counter()
            with subprocess.Popen([*command, f"--into={folder}"], stdout=subprocess.PIPE, text=True) as sweep:
                while is_killed and sweep.poll() is None and _kept(folder) < given.points // 2:
                    time.sleep(0.05)
                if is_killed:
                    sweep.kill()
                told = sweep.communicate()[0].strip() or f"killed at {_kept(folder)} points"
            if not is_killed and sweep.returncode:
                raise SystemExit(f"the sweep ended with {sweep.returncode}")
            print(f"{time.perf_counter() - began:.1f} s: {told}", flush=True)
        is_same = _files(whole) == _files(again)
    print("the same bundle, byte for byte" if is_same else "the bundles differ")
    return 0 if is_same else 1


def _kept(folder: Path) -> int:
    """Points of a sweep under way that it has done."""
    return sum(1 for _ in folder.glob("*.points/*.json"))


def _files(folder: Path) -> dict[Path, bytes]:
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _into(given: argparse.Namespace) -> None:
    with joined(given.ray_address) if given.ray_address else nullcontext() as cluster:
        run_sweep(swept(given), given.into, None, cluster=cluster)
    print(f"{given.points} points, {_peak_mib():.0f} MiB of the command")


def _resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _alone_s(given: argparse.Namespace, cores: int) -> float:
    """Seconds of the sweep in a command of its own without Ray, which forks."""
    alone = subprocess.run([*_command(given), f"--local={cores}"], check=True, capture_output=True, text=True)
    return float(alone.stdout)


def _command(given: argparse.Namespace) -> list[str]:
    """This program in a process of its own, for the same points."""
    points = [f"--points={given.points}", f"--horizon={given.horizon}", f"--rate={given.rate}"]
    return [sys.executable, "-m", "bench.cluster", *points]


def swept(given: argparse.Namespace, seeds: str = "") -> Sweep:
    """One topology at as many seeds as there are points."""
    only = "topologies={two: {pools: [{name: base, site: datacentre, gpu: h100-sxm, billing: owned}]}}"
    rate = f"workload.classes[chat].arrivals.rate_rps={given.rate}"
    sets = ["run.replications=1", f"run.horizon_s={given.horizon}", rate, only]
    return read_sweep(SCENARIO, [f"run.seed={seeds or numbers(given.points)}"], sets=sets)


def numbers(count: int) -> str:
    return ",".join(map(str, range(count)))


def looked_ms(scenario: Path, points: int) -> float:
    """CPU time of looking through a point: its scenario, checked, and the keys of its tasks."""
    sweep = read_sweep(scenario, [f"run.seed={numbers(points)}"])
    began = time.process_time()
    points_and_tasks(sweep)
    return (time.process_time() - began) / points * 1e3


def wall_s(sweep: Sweep, jobs: int | None, cluster: Cluster | None = None) -> float:
    """Seconds of a sweep, from its first point to its bundle."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run_sweep(sweep, folder, jobs, cluster=cluster)
        return time.perf_counter() - began


if __name__ == "__main__":
    main()
