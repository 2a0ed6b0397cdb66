"""Reads measured runs of the format `vllm-run/1`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibrate.recording.steps import Steps, steps_from_batches
from simulator.engine.config import EngineConfig
from simulator.engine.schedule_trace import config_from_limits
from simulator.errors import InputError, Problem
from simulator.results.inputs import input_format

FORMAT = "vllm-run/1"
_MOST_TOKENS = 1_000_000_000
_LIMITS = ("num_gpu_blocks", "block_size", "max_num_batched_tokens", "max_num_seqs", "max_model_len")


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
    value = input_format(file, FORMAT, None)
    try:
        return _recording(str(file), value)
    except KeyError as error:
        raise InputError(Problem(f"{error.args[0]!r} is missing", str(file))) from error
    except (TypeError, ValueError, IndexError) as error:
        raise InputError(Problem(f"is no valid {FORMAT} file: {error}", str(file))) from error


def _recording(file: str, value: dict[str, Any]) -> Recording:
    profiled = value["profile_steps"]
    if not profiled:
        raise ValueError("profile_steps is empty")
    durations = [float(step["dur_s"]) for step in profiled]
    if not (np.isfinite(durations).all() and min(durations) > 0):
        raise ValueError("profile_steps: every dur_s must be a positive number")
    gaps = [float("nan") if step.get("gap_s") is None else float(step["gap_s"]) for step in profiled]
    return Recording(
        file,
        value["model"],
        str(value.get("vllm_version", "unknown")),
        _device(value.get("device", "unknown")),
        engine_config(value["config"]),
        tuple(value["config"].get("cudagraph_capture_sizes") or ()),
        steps_from_batches(durations, [step["batch"] for step in profiled], gaps),
        tuple(_run(f"runs[{k}]", run) for k, run in enumerate(value.get("runs", ()))),
    )


def _device(value: Any) -> str:
    return str(value.get("name", json.dumps(value, sort_keys=True))) if isinstance(value, dict) else str(value)


def engine_config(config: Mapping[str, Any]) -> EngineConfig:
    """The engine's resolved limits; what a recording does not say is vLLM's default."""
    missing = [name for name in _LIMITS if name not in config]
    if missing:
        raise KeyError(f"config.{missing[0]}")
    return config_from_limits(config)


def _run(path: str, value: dict[str, Any]) -> MeasuredRun:
    requests = value["requests"]
    if not requests:
        raise ValueError(f"{path}.requests is empty")
    columns = {
        name: np.array([float(request[name]) for request in requests])
        for name in ("arrival_s", "isl", "osl", "first_token_s", "finished_s")
    }
    order = np.argsort(columns["arrival_s"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    late = (columns["first_token_s"] < columns["arrival_s"]) | (columns["finished_s"] < columns["first_token_s"])
    if late.any() or not all(np.isfinite(column).all() for column in columns.values()):
        raise ValueError(f"{path}.requests: times must be numbers with arrival <= first token <= finish")
    lengths = np.array([columns["isl"], columns["osl"]])
    if not ((lengths >= 1) & (lengths <= _MOST_TOKENS)).all():
        raise ValueError(f"{path}.requests: isl and osl must be from 1 to {_MOST_TOKENS:,}")
    steps = np.array(value.get("steps", ()), np.float64).reshape(-1, 4)
    if not (np.isfinite(steps).all() and (steps[:, 1:] >= 0).all() and (steps[:, 2:] <= _MOST_TOKENS).all()):
        raise ValueError(f"{path}.steps: start, duration, sequences and tokens must be numbers from 0 on")
    gaps = [gap for request in requests for gap in request.get("itls_s", ())]
    return MeasuredRun(
        float(value["rate_rps"]),
        columns["arrival_s"],
        columns["isl"].astype(np.int32),
        columns["osl"].astype(np.int32),
        columns["first_token_s"],
        columns["finished_s"],
        np.array(gaps, np.float64),
        steps[:, 0],
        steps[:, 1],
        steps[:, 2].astype(np.int64),
        steps[:, 3].astype(np.int64),
    )
