"""The simulator on the very requests that were measured, and the machine's drift from the run's own steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.recording.run import MeasuredRun
from calibrate.recording.steps import Steps, steps_from_batches, steps_since_prefill
from simulator.engine.config import EngineConfig
from simulator.fleet.records import Status
from simulator.fleet.single import SingleRun, run_single
from simulator.perf.steptime import StepTime
from simulator.workload.requests import make_requests

DRIFT_BOUND = 0.15
"""What a machine's speed varies by itself; further off, something else happened."""
_MIN_STEPS = 5
_TOUCH_S = 1e-5


@dataclass(frozen=True, slots=True)
class Served:
    """Latencies of requests, by request in order of arrival; and the gaps between tokens where they are known.

    Attributes
    ----------
    ttft_s, tpot_s, e2e_s : float64 (n,); TPOT is NaN for one token
    gaps_s : float64 (m,)
    output_tokens_per_s : output tokens over the time from the first arrival to the last finish
    """

    ttft_s: NDArray[np.float64]
    tpot_s: NDArray[np.float64]
    e2e_s: NDArray[np.float64]
    gaps_s: NDArray[np.float64]
    output_tokens_per_s: float


def measured(run: MeasuredRun) -> Served:
    """What was measured; where gaps were not recorded they follow from the ends of the steps."""
    gaps_s = run.gaps_s
    if not len(gaps_s):
        gaps_s = token_gaps_s(run.first_token_s, run.finished_s, run.osl, run.step_start_s + run.step_duration_s)
    return _served(run.arrival_s, run.first_token_s, run.finished_s, run.osl, gaps_s)


def hand_over_s(run: MeasuredRun) -> float:
    """Median time from the arrival of a request at an idle engine to the start of its step: polling, waking up.

    0 where steps were not recorded.
    """
    after = np.searchsorted(run.step_start_s, run.arrival_s)
    ends_s = run.step_start_s + run.step_duration_s
    before_s = np.where(after > 0, np.append(ends_s, np.inf)[after - 1], -np.inf)
    idle = (before_s < run.arrival_s) & (after < len(run.step_start_s))
    waits_s = np.append(run.step_start_s, np.nan)[after[idle]] - run.arrival_s[idle]
    return float(np.median(waits_s)) if len(waits_s) else 0.0


def simulate(run: MeasuredRun, config: EngineConfig, step_time: StepTime) -> tuple[Served, Steps]:
    """Serve the run's requests on the simulated engine, and its steps; a request that it rejects has no latencies.

    A request that finds the engine idle is handed over after the run's own `hand_over_s`.
    """
    result = run_single(config, step_time, make_requests(run.arrival_s, run.isl, run.osl))
    records = result.records[np.argsort(result.records["request"])]
    idle = records["scheduled_s"] <= run.arrival_s
    due_s = run.arrival_s + np.where(idle, hand_over_s(run), 0.0)
    order = np.argsort(due_s, kind="stable")
    result = run_single(config, step_time, make_requests(due_s[order], run.isl[order], run.osl[order]), log=True)
    records = result.records[np.argsort(result.records["request"])][np.argsort(order)]
    done = records["status"] == Status.COMPLETED
    first_s = np.where(done, records["first_token_s"], np.nan)
    finish_s = np.where(done, records["finish_s"], np.nan)
    steps = logged_steps(result, step_time)
    ends_s = np.array([step.start_s for step in result.steps]) + steps.duration_s
    outside_s = step_time.request_overhead_s
    gaps_s = token_gaps_s(first_s - outside_s, finish_s - outside_s, run.osl, ends_s)
    return _served(run.arrival_s, first_s, finish_s, run.osl, gaps_s), steps


def _served(
    arrival_s: NDArray[np.float64],
    first_s: NDArray[np.float64],
    finish_s: NDArray[np.float64],
    osl: NDArray[np.int32],
    gaps_s: NDArray[np.float64],
) -> Served:
    several = np.maximum(osl - 1, 1)
    tpot_s = np.where(osl > 1, (finish_s - first_s) / several, np.nan)
    span_s = float(np.nanmax(finish_s) - arrival_s[0])
    tokens = float(osl[np.isfinite(finish_s)].sum())
    return Served(first_s - arrival_s, tpot_s, finish_s - arrival_s, gaps_s, tokens / span_s)


def logged_steps(result: SingleRun, step_time: StepTime) -> Steps:
    """The simulated steps, with the durations that the step-time model gives them."""
    steps = steps_from_batches(
        np.zeros(len(result.steps)), [[entry[1:] for entry in step.scheduled] for step in result.steps]
    )
    duration_s = step_time.durations_s(
        steps.sequences.astype(np.int64), steps.tokens.astype(np.int64), steps.prefill_units, steps.decode_context
    )
    return replace(steps, duration_s=duration_s)


def token_gaps_s(
    first_s: NDArray[np.float64], finish_s: NDArray[np.float64], osl: NDArray[np.int32], ends_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gaps between the tokens of requests from the ends of steps: a decoding request gets a token in every step.

    A request whose steps do not add up (it was preempted) is left out.
    """
    gaps: list[NDArray[np.float64]] = []
    for first, finish, tokens in zip(first_s.tolist(), finish_s.tolist(), osl.tolist(), strict=True):
        if not np.isfinite(finish):
            continue
        begin, end = np.searchsorted(ends_s, [first - _TOUCH_S, finish + _TOUCH_S])
        if end - begin == tokens > 1:
            gaps.append(np.diff(ends_s[begin:end]))
    return np.concatenate(gaps) if gaps else np.zeros(0)


def measured_slowness(run: MeasuredRun, steps: Steps, profiled: Steps) -> float:
    """How much slower the machine was in this run than the profile says, from pure decode steps.

    A decode step right after a prefill finds cold caches and one long after it warm ones, so only steps are compared
    that lie at most as far behind a prefill as nine in ten of the profiled ones. At each batch size that both sides
    have, the median of the measured ones is divided by that of the simulated ones, and the ratios are averaged by the
    number of measured steps. 1 where the run has no such steps.
    """
    history = steps_since_prefill(profiled.regime != 1)[profiled.regime == 1]
    far = float(np.quantile(history, 0.9)) if len(history) else np.inf
    pure = run.step_sequences == run.step_tokens
    theirs = pure & (steps_since_prefill(~pure) <= far)
    ours = (steps.regime == 1) & (steps_since_prefill(steps.regime != 1) <= far)
    ratios: list[float] = []
    weights: list[int] = []
    for n in np.unique(run.step_sequences[theirs]).tolist():
        measured_s = run.step_duration_s[theirs & (run.step_sequences == n)]
        simulated_s = steps.duration_s[ours & (steps.sequences == n)]
        if min(len(measured_s), len(simulated_s)) >= _MIN_STEPS:
            ratios.append(float(np.median(measured_s) / np.median(simulated_s)))
            weights.append(len(measured_s))
    return float(np.average(ratios, weights=weights)) if ratios else 1.0
