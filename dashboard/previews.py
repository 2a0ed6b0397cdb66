"""Short runs in warm processes: kernels are loaded once, and no user waits for another's script."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import streamlit as st

from simulator.errors import InputError, Problem, ServecastError

PREVIEW_REQUESTS = 40_000
"""Simulated requests that a warm process serves in about a second."""
_LEAST_HORIZON_S = 120.0
_WAIT_S = 60.0


@st.cache_resource
def _pool(generation: int) -> ProcessPoolExecutor:
    workers = max(1, min(4, (os.cpu_count() or 2) - 1))
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@st.cache_resource
def _generation() -> list[int]:
    return [0]


def warm_up() -> None:
    """Start the processes before they are needed."""
    _pool(_generation()[0]).submit(_import)


def preview(file: Path, sets: tuple[str, ...]) -> dict[str, Any]:
    """Summary of a shortened run of the scenario with values set: one replication, at most `PREVIEW_REQUESTS` requests.

    Raises
    ------
    InputError : values that make no valid scenario, or the process was killed
    """
    generation = _generation()[0]
    try:
        future: Future[dict[str, Any]] = _pool(generation).submit(_preview, str(file), sets)
        found = future.result(_WAIT_S)
    except BrokenProcessPool as error:
        _generation()[0] = generation + 1
        raise InputError("the process that simulates was killed, perhaps for want of memory; try again") from error
    except TimeoutError as error:
        raise InputError(f"no answer within {_WAIT_S:g} s; run it in full instead") from error
    if "problems" in found:
        raise InputError(*(Problem(text) for text in found["problems"]))
    return found


def _import() -> None:
    import simulator.run.simulate  # noqa: F401


def _preview(file: str, sets: tuple[str, ...]) -> dict[str, Any]:
    from simulator.run.simulate import simulate
    from simulator.scenario.load import load_scenario

    try:
        horizon_s = _horizon_s(file, sets)
        short = (
            f"run.horizon_s={horizon_s:.0f}",
            f"run.warmup_s={0.1 * horizon_s:.0f}",
            "run.replications=1",
            "run.keep_requests=false",
            "run.sample_s=null",
            "cost.draws=0",
        )
        with tempfile.TemporaryDirectory(prefix="servecast-") as out:
            run = simulate(load_scenario(file, sets=[*sets, *short]), out)
        return {"summary": run.summary, "horizon_s": horizon_s}
    except ServecastError as error:
        return {"problems": [str(problem) for problem in getattr(error, "problems", (error,))]}


def _horizon_s(file: str, sets: tuple[str, ...]) -> float:
    from simulator.run.capacity import offered_load
    from simulator.scenario.load import load_scenario

    loaded = load_scenario(file, sets=sets)
    load = offered_load(loaded)
    horizon_s = loaded.scenario.run.horizon_s
    if load is None:
        return min(horizon_s, _LEAST_HORIZON_S)
    wanted_s = PREVIEW_REQUESTS / (load.rate_rps * len(loaded.scenario.topologies))
    return min(horizon_s, max(wanted_s, _LEAST_HORIZON_S))
