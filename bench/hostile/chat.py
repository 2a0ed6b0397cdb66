"""What all kinds of cases share: a scenario, and options that keep each short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from bench.hostile.attempt import command
from bench.hostile.mutate import text_of

Run = Callable[[], int]
Kind = Callable[[Random, Path], Run]

CHAT: dict[str, Any] = {
    "schema_version": 1,
    "name": "chat",
    "model": "llama-3.1-8b-instruct",
    "engine": {"max_model_len": 8192},
    "workload": {
        "classes": [
            {
                "name": "chat",
                "arrivals": {"kind": "poisson", "rate_rps": 3.0},
                "lengths": {"isl": 300, "osl": 40},
                "slo": {"ttft_s": {"p99": 1.0}},
            }
        ]
    },
    "topologies": {
        "own": {"pools": [{"name": "base", "site": "datacentre", "gpu": "h100-sxm", "billing": "owned"}]},
        "api": {"providers": [{"name": "api", "offer": "together/llama-3.3-70b"}]},
    },
    "study": {"months": 6},
    "cost": {"draws": 20},
    "run": {"horizon_s": 20, "replications": 2},
}
LIMITS = ("--time-limit", "15", "--memory-limit", "1.5")
QUIET = ("--quiet", "--fresh", "--no-advice", "--jobs", "1")


def chat_with(folder: Path, changes: dict[str, Any], run: bool = False) -> Run:
    """The scenario with some keys of its own, checked or run."""
    file = folder / "chat.yaml"
    file.write_text(text_of(CHAT | changes))
    if run:
        return command("run", str(file), "--out", str(folder / "runs"), *QUIET)
    return command("validate", str(file))
