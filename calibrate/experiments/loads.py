"""Loads to serve in wall-clock time: Poisson arrivals, or a slice of a recorded trace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.engine.config import EngineConfig
from simulator.engine.reference.limits import can_serve
from simulator.errors import InputError, Problem
from simulator.fleet.single import run_single
from simulator.perf.steptime import StepTime
from simulator.rng import stream
from simulator.workload.requests import make_requests
from simulator.workload.trace_file import load_trace

_BURST = 4
"""Requests in the burst that finds the capacity, for each that may run at once."""
_LEAST_BURST = 100
_PRIVATE_TAIL = 1


@dataclass(frozen=True, slots=True)
class Lengths:
    """Log-normal lengths in tokens: means, and one coefficient of variation for both."""

    isl_mean: float
    osl_mean: float
    cv: float


@dataclass(frozen=True, slots=True)
class Load:
    """Requests with their arrivals, seconds from the start.

    Attributes
    ----------
    label : `poisson` or the trace's file name
    share : load as a share of the capacity, None where the rate was given
    """

    label: str
    rate_rps: float
    share: float | None
    arrival_s: NDArray[np.float64]
    isl: NDArray[np.int32]
    osl: NDArray[np.int32]

    def requests(self) -> list[dict[str, Any]]:
        """As the driver reads them."""
        rows = zip(self.arrival_s.tolist(), self.isl.tolist(), self.osl.tolist(), strict=True)
        return [{"arrival_s": arrival_s, "isl": isl, "osl": osl} for arrival_s, isl, osl in rows]


def default_lengths(config: EngineConfig) -> Lengths:
    """Conversation-like lengths that fit the engine."""
    return Lengths(min(256.0, config.max_model_len / 8), min(64.0, config.max_model_len / 16), 0.7)


def capacity_rps(config: EngineConfig, step_time: StepTime, lengths: Lengths, seed: int) -> float:
    """Requests per second of the simulated engine while it has more than it can take."""
    n = max(_LEAST_BURST, _BURST * config.max_num_seqs)
    isl, osl = _lengths(config, lengths, n, stream(seed, "capacity"))
    records = run_single(config, step_time, make_requests(np.zeros(n), isl, osl)).records
    return n / float(records["finish_s"].max())


def poisson_load(
    config: EngineConfig, lengths: Lengths, rate_rps: float, duration_s: float, seed: int, share: float | None = None
) -> Load:
    """Poisson arrivals over `duration_s`, at least one."""
    draw = stream(seed, "poisson", f"{rate_rps:g}")
    n = max(1, int(draw.poisson(rate_rps * duration_s)))
    arrival_s = np.sort(draw.uniform(0, duration_s, n))
    isl, osl = _lengths(config, lengths, n, draw)
    return Load("poisson", rate_rps, share, arrival_s, isl, osl)


def trace_load(
    config: EngineConfig, file: Path, rate_rps: float, duration_s: float, share: float | None = None
) -> Load:
    """The first requests of a trace at another rate: gaps between arrivals all stretched by one factor.

    Requests that the engine cannot serve are left out; contents are not replayed, so nothing is shared.

    Raises
    ------
    InputError : a trace that cannot be read, or has too few requests that fit
    """
    requests = load_trace(file).requests
    wanted = max(2, round(rate_rps * duration_s))
    rows = zip(requests.isl.tolist(), requests.osl.tolist(), strict=True)
    fits = np.flatnonzero([osl > 0 and can_serve(config, isl, osl) for isl, osl in rows])[:wanted]
    if len(fits) < 2:
        raise InputError(Problem("fewer than two of its requests fit the engine", file=str(file), path="--trace"))
    arrival_s = requests.arrival_s[fits] - requests.arrival_s[fits[0]]
    own_rate_rps = (len(fits) - 1) / float(max(arrival_s[-1], 1e-9))
    return Load(file.name, rate_rps, share, arrival_s * own_rate_rps / rate_rps, requests.isl[fits], requests.osl[fits])


def _lengths(
    config: EngineConfig, lengths: Lengths, n: int, draw: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Lengths that the engine can serve; a pair that it can't is cut down."""
    sigma = float(np.sqrt(np.log1p(lengths.cv**2)))
    longest = min(config.max_model_len, (config.num_blocks - 1) * config.block_size)
    if not config.enable_chunked_prefill:
        longest = min(longest, config.max_num_batched_tokens)
    isl, osl = (
        np.rint(draw.lognormal(np.log(mean) - sigma**2 / 2, sigma, n)) for mean in (lengths.isl_mean, lengths.osl_mean)
    )
    osl = np.clip(osl, 1, longest // 2)
    isl = np.clip(isl, 1, longest - osl - _PRIVATE_TAIL)
    return isl.astype(np.int32), osl.astype(np.int32)
