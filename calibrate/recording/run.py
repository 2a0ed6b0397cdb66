"""Reads measured runs of the format `vllm-run/1`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.recording.shape import Limits, RunFile, ServedRun
from calibrate.recording.steps import Steps, steps_from_batches
from simulator.engine.config import EngineConfig
from simulator.engine.schedule_trace import config_from_limits
from simulator.errors import InputError, Problem
from simulator.results.inputs import input_format
from simulator.schema.checked import checked

FORMAT = "vllm-run/1"


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """Requests served in wall-clock time; times in seconds from the start of the run.

    Attributes
    ----------
    isl, osl : int32 (n,), tokens
    arrival_s, first_token_s, finished_s : float64 (n,)
    gaps_s : float64, gaps between tokens of all requests where they were recorded, else empty
    step_start_s, step_duration_s, step_sequences, step_tokens : by step; empty where steps were not recorded
    """

    rate_rps: float
    arrival_s: NDArray[np.float64]
    isl: NDArray[np.int32]
    osl: NDArray[np.int32]
    first_token_s: NDArray[np.float64]
    finished_s: NDArray[np.float64]
    gaps_s: NDArray[np.float64]
    step_start_s: NDArray[np.float64]
    step_duration_s: NDArray[np.float64]
    step_sequences: NDArray[np.int64]
    step_tokens: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Recording:
    """One measured engine: what it was, its profiled steps and its serving runs."""

    file: str
    model: Mapping[str, Any]
    vllm_version: str
    device: str
    config: EngineConfig
    capture_sizes: tuple[int, ...]
    steps: Steps
    runs: tuple[MeasuredRun, ...]


def read_run(file: str | Path) -> Recording:
    """Read a measured run.

    Raises
    ------
    InputError : no such file, another format, or an entry that is missing or makes no sense, by its path
    """
    said = checked(RunFile, input_format(file, FORMAT, None), file)
    steps = said.profile_steps
    return Recording(
        str(file),
        said.model,
        said.vllm_version,
        device_name(said.device),
        engine_config(said.config, file),
        said.capture_sizes,
        steps_from_batches(
            [step.dur_s for step in steps],
            [step.batch for step in steps],
            [float("nan") if step.gap_s is None else step.gap_s for step in steps],
        ),
        tuple(map(_run, said.runs)),
    )


def device_name(value: str | Mapping[str, Any]) -> str:
    """A device by its name, or all that is said of it."""
    return value if isinstance(value, str) else str(value.get("name", json.dumps(value, sort_keys=True)))


def engine_config(limits: Limits, file: str | Path) -> EngineConfig:
    """The engine's resolved limits; what a recording does not say is vLLM's default.

    Raises
    ------
    InputError : limits of no engine
    """
    try:
        return config_from_limits(limits.model_dump(exclude_unset=True))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(Problem(f"are no limits of an engine: {error}", str(file), path="config")) from error


def _run(said: ServedRun) -> MeasuredRun:
    requests = sorted(said.requests, key=lambda request: request.arrival_s)
    steps = np.array(said.steps, np.float64).reshape(-1, 4)
    return MeasuredRun(
        said.rate_rps,
        np.array([request.arrival_s for request in requests]),
        np.array([request.isl for request in requests], np.int32),
        np.array([request.osl for request in requests], np.int32),
        np.array([request.first_token_s for request in requests]),
        np.array([request.finished_s for request in requests]),
        np.array([gap for request in said.requests for gap in request.itls_s], np.float64),
        steps[:, 0],
        steps[:, 1],
        steps[:, 2].astype(np.int64),
        steps[:, 3].astype(np.int64),
    )
