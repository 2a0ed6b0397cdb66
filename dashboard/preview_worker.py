"""A warm process for short runs: reads a request a line, writes an answer a line."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dashboard.limits import limit_memory
from dashboard.processes import answer_lines
from dashboard.workspace import shipped
from simulator.errors import InputError, Problem, ServecastError
from simulator.results.scratch import scratch
from simulator.run.simulate import simulate
from simulator.scenario.load import LoadedScenario, load_scenario
from simulator.simulate.capacity import offered_load

PREVIEW_REQUESTS = 200_000
"""Simulated requests of a preview, over all topologies: one to two seconds."""
_LEAST_HORIZON_S = 120.0
_ONE_RUN = ("run.replications=1", "run.keep_requests=false", "run.sample_s=null", "cost.draws=0")
_WARM_UP_SHARE = 0.25
_NICE = 5
"""Behind the pages of whoever reads, before whole runs."""


def main() -> None:
    """Answer until the other side is gone."""
    limit_memory()
    os.nice(_NICE)
    answer_lines(lambda request: _preview(request["file"], request["sets"]), warm_up)


def warm_up() -> dict[str, Any]:
    """Summary of a few seconds of a shipped scenario: all that a run needs is loaded before somebody waits for it."""
    return _short_run(str(shipped() / "quickstart.yaml"), ["run.horizon_s=10", "run.warmup_s=0"])


def _preview(file: str, sets: list[str]) -> dict[str, Any]:
    try:
        horizon_s = preview_horizon_s(load_scenario(file))
        loaded = load_scenario(file, sets=sets)
        if loaded.scenario.study.cut is not None and horizon_s < loaded.scenario.run.horizon_s:
            words = "takes its windows from the whole run, of which a short one is a part: run it in full"
            raise InputError(Problem(words, *loaded.place("study.cut"), path="study.cut"))
        short = (
            f"run.horizon_s={horizon_s:.0f}",
            f"run.warmup_s={min(loaded.scenario.run.warmup_s, _WARM_UP_SHARE * horizon_s):.0f}",
        )
        return {"summary": _short_run(file, [*sets, *short]), "horizon_s": horizon_s}
    except ServecastError as error:
        return {"problems": [asdict(problem) for problem in getattr(error, "problems", (Problem(str(error)),))]}


def _short_run(file: str, sets: list[str]) -> dict[str, Any]:
    with scratch() as out:
        return simulate(load_scenario(file, sets=[*sets, *_ONE_RUN]), Path(out)).summary


def preview_horizon_s(loaded: LoadedScenario) -> float:
    """Simulated time in which all topologies of the unchanged scenario get `PREVIEW_REQUESTS`, within its own.

    A changed scenario is simulated over the same span, so that both see the same part of the traffic.
    """
    load = offered_load(loaded)
    horizon_s = loaded.scenario.run.horizon_s
    if load is None:
        return min(horizon_s, _LEAST_HORIZON_S)
    wanted_s = PREVIEW_REQUESTS / (load.rate_rps * len(loaded.scenario.topologies))
    return min(horizon_s, max(wanted_s, _LEAST_HORIZON_S))


if __name__ == "__main__":
    main()
