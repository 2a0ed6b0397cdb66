"""A warm process for short runs: reads a request a line, writes an answer a line."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from simulator.errors import ServecastError
from simulator.run.capacity import offered_load
from simulator.run.simulate import simulate
from simulator.scenario.load import load_scenario

PREVIEW_REQUESTS = 30_000
"""Simulated requests of a preview, over all topologies: about a second."""
_LEAST_HORIZON_S = 120.0
_WARM_UP_SHARE = 0.1


def main() -> None:
    """Answer until the other side is gone; whatever a run prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(_preview(request["file"], request["sets"])) + "\n")
        answers.flush()


def _preview(file: str, sets: list[str]) -> dict[str, Any]:
    try:
        horizon_s = _horizon_s(file, sets)
        short = (
            f"run.horizon_s={horizon_s:.0f}",
            f"run.warmup_s={_WARM_UP_SHARE * horizon_s:.0f}",
            "run.replications=1",
            "run.keep_requests=false",
            "run.sample_s=null",
            "cost.draws=0",
        )
        with tempfile.TemporaryDirectory(prefix="servecast-") as out:
            run = simulate(load_scenario(file, sets=[*sets, *short]), Path(out))
        return {"summary": run.summary, "horizon_s": horizon_s}
    except ServecastError as error:
        return {"problems": [str(problem) for problem in getattr(error, "problems", (error,))]}


def _horizon_s(file: str, sets: list[str]) -> float:
    """Simulated time in which all topologies together get `PREVIEW_REQUESTS`, within the scenario's own."""
    loaded = load_scenario(file, sets=sets)
    load = offered_load(loaded)
    horizon_s = loaded.scenario.run.horizon_s
    if load is None:
        return min(horizon_s, _LEAST_HORIZON_S)
    wanted_s = PREVIEW_REQUESTS / (load.rate_rps * len(loaded.scenario.topologies))
    return min(horizon_s, max(wanted_s, _LEAST_HORIZON_S))


if __name__ == "__main__":
    main()
