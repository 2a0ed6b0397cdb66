"""CPU time and peak memory of `servecast run` as a scenario grows: `python bench/scale.py classes 1000 10000`.

Each size is a command of its own, in one process and with nothing kept from earlier ones; kernels have to be compiled.
`described` is `servecast traces` of a trace of which most rows come late, `hashed` that of one whose prompts are hashed
blocks. `--keep FOLDER` leaves scenarios and
traces there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

KIB = 1024
MIB = 1024**2
Scenario = dict[str, Any]
REQUESTS = 3_000
"""Of runs whose scenario grows and not their traffic."""
HORIZON_S = 3_600.0
ROW_RATE_RPS = 5.0
PIECE_ROWS = 1_000_000


def _class(name: str, arrivals: Mapping[str, object]) -> Scenario:
    return {"name": name, "arrivals": dict(arrivals), "slo": {"ttft_s": {"p99": 2.0}}}


def _drawn(name: str, rate_rps: float) -> Scenario:
    lengths = {"isl": 300, "osl": 100}
    return {**_class(name, {"kind": "poisson", "rate_rps": rate_rps}), "lengths": lengths}


def _pool(name: str, replicas: int = 1) -> Scenario:
    return {"name": name, "site": "datacentre", "gpu": "h100-sxm", "replicas": replicas, "billing": "owned"}


def _scenario(
    classes: list[Scenario], topologies: Mapping[str, list[Scenario]], horizon_s: float = HORIZON_S
) -> Scenario:
    return {
        "schema_version": 1,
        "name": "scale",
        "model": "llama-3.1-8b-instruct",
        "engine": {"max_model_len": 8192},
        "workload": {"classes": classes},
        "topologies": {name: {"pools": pools} for name, pools in topologies.items()},
        "study": {"months": 6},
        "cost": {"draws": 20},
        "run": {"horizon_s": horizon_s, "keep_requests": False},
    }


def classes(n: int, folder: Path) -> Scenario:
    """Classes of one load; without SLOs, with which 10,000 are more values than a scenario may have."""
    one = _drawn("", REQUESTS / HORIZON_S / n)
    del one["slo"]
    return _scenario([{**one, "name": f"class{k}"} for k in range(n)], {"own": [_pool("base")]})


def topologies(n: int, folder: Path) -> Scenario:
    """Topologies, each with one replica."""
    return _scenario([_drawn("chat", REQUESTS / HORIZON_S)], {f"topology{k}": [_pool("base")] for k in range(n)})


def pools(n: int, folder: Path) -> Scenario:
    """Pools of one topology."""
    return _scenario([_drawn("chat", REQUESTS / HORIZON_S)], {"own": [_pool(f"pool{k}") for k in range(n)]})


def replicas(n: int, folder: Path) -> Scenario:
    """Replicas of one pool, and 4 requests a second for each."""
    return _scenario([_drawn("chat", 4.0 * n)], {"own": [_pool("base", n)]}, horizon_s=300.0)


def rows(n: int, folder: Path) -> Scenario:
    """Rows of a trace, all of them simulated."""
    return _scenario([_class("chat", _trace(n, folder))], {"own": [_pool("base")]}, horizon_s=n / ROW_RATE_RPS)


def rows_behind(n: int, folder: Path) -> Scenario:
    """Rows of a trace, of which the first few are simulated."""
    horizon_s = REQUESTS / ROW_RATE_RPS
    return _scenario([_class("chat", _trace(n, folder))], {"own": [_pool("base")]}, horizon_s)


def seconds(n: int, folder: Path) -> Scenario:
    """Seconds with one request each."""
    return _scenario([_drawn("chat", 1.0)], {"own": [_pool("base")]}, horizon_s=float(n))


KINDS: Mapping[str, Callable[[int, Path], Scenario]] = {
    kind.__name__: kind for kind in (classes, topologies, pools, replicas, rows, rows_behind, seconds)
}


DESCRIBED = "described", "hashed"
"""Kinds of what `servecast traces` describes."""
BLOCKS = 20
"""Of a hashed prompt, half of them in all prompts."""
BLOCK_TOKENS = 512
LATE_S = 3.0
"""How late a row of it may be."""


def _trace(n: int, folder: Path, late_s: float = 0.0) -> dict[str, str]:
    file = folder / f"rows{n}.csv"
    random = np.random.default_rng(1)
    with file.open("w", encoding="utf-8") as text:
        text.write("arrival_s,input_tokens,output_tokens\n")
        for first in range(0, n, PIECE_ROWS):
            count = min(PIECE_ROWS, n - first)
            times = np.arange(first, first + count) / ROW_RATE_RPS
            isl, osl = random.integers(50, 600, count), random.integers(20, 200, count)
            if late_s:
                times = times + late_s * random.random(count)
            text.writelines(f"{t:.1f},{i},{o}\n" for t, i, o in zip(times, isl, osl, strict=True))
    return {"kind": "trace", "file": file.name}


def _hashed(n: int, folder: Path) -> dict[str, str]:
    file = folder / f"hashed{n}.jsonl"
    common = list(range(BLOCKS // 2))
    with file.open("w", encoding="utf-8") as text:
        for k in range(n):
            own = list(range(len(common) * (k + 1), len(common) * (k + 2)))
            row = {
                "timestamp": int(1000 * k / ROW_RATE_RPS),
                "input_length": BLOCKS * BLOCK_TOKENS,
                "output_length": 50,
            }
            text.write(json.dumps({**row, "hash_ids": common + own}) + "\n")
    return {"kind": "trace", "file": file.name}


def run_one(kind: str, n: int, folder: Path) -> tuple[float, float, float]:
    """CPU seconds, wall-clock seconds and peak bytes of a command."""
    arguments = _arguments(kind, n, folder)
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "simulator.cli", *arguments], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{kind} {n}: ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime, time.monotonic() - began, used.ru_maxrss * KIB


def _arguments(kind: str, n: int, folder: Path) -> list[str]:
    """Of the command, whose files are written."""
    if kind in DESCRIBED:
        trace = _hashed(n, folder) if kind == "hashed" else _trace(n, folder, LATE_S)
        return ["traces", str(folder / trace["file"]), "--bin-s", "60"]
    file = folder / f"{kind}{n}.yaml"
    text = yaml.safe_dump(KINDS[kind](n, folder), sort_keys=False, default_flow_style=None, width=1_000)
    file.write_text(text, encoding="utf-8")  # what classes have in common is written once, as an alias
    options = ["--out", str(folder / "runs"), "--fresh", "--jobs", "1", "--quiet", "--time-limit", "100000"]
    return ["run", str(file), *options]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=(*KINDS, *DESCRIBED))
    parser.add_argument("sizes", type=int, nargs="+")
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(f"| {options.kind} | CPU-s | s | peak MiB |\n|---:|---:|---:|---:|", flush=True)
        for n in options.sizes:
            cpu_s, wall_s, peak_bytes = run_one(options.kind, n, folder)
            print(f"| {n:,} | {cpu_s:.1f} | {wall_s:.1f} | {peak_bytes / MIB:.0f} |", flush=True)


if __name__ == "__main__":
    main()
