"""Measured against simulated, per rate and metric, raw and after the machine's drift, with tolerances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from calibrate.recording.run import MeasuredRun
from calibrate.recording.steps import Steps
from calibrate.validate.simulate import DRIFT_BOUND, Served, measured, measured_slowness, simulate
from simulator.engine.config import EngineConfig
from simulator.perf.steptime import StepTime

METRICS = ("ttft_s", "tpot_s", "gaps_s", "e2e_s")
QUANTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Largest relative error allowed: of throughput, of the medians of TTFT and TPOT, and of their 99th percentiles."""

    throughput: float
    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class Row:
    """One statistic of one run.

    Attributes
    ----------
    metric : `throughput`, `ttft`, `tpot`, `itl` or `e2e`
    statistic : `mean` for throughput, else `p50`, `p90` or `p99`
    measured, raw, corrected : tokens/s or seconds; simulated as fitted, and with step times scaled by the drift
    tolerance_raw, tolerance_corrected : largest relative error allowed; None where none is set
    """

    metric: str
    statistic: str
    measured: float
    raw: float
    corrected: float
    tolerance_raw: float | None
    tolerance_corrected: float | None

    @property
    def raw_error(self) -> float:
        return self.raw / self.measured - 1.0

    @property
    def corrected_error(self) -> float:
        return self.corrected / self.measured - 1.0

    @property
    def within(self) -> bool:
        """Both errors are within their tolerances; a value that the simulation does not have is not."""
        return _within(self.raw_error, self.tolerance_raw) and _within(self.corrected_error, self.tolerance_corrected)


def _within(error: float, tolerance: float | None) -> bool:
    return tolerance is None or abs(error) <= tolerance


@dataclass(frozen=True, slots=True)
class Comparison:
    """One run: its rate, the machine's drift in it, and all statistics; `samples` are for plots.

    Attributes
    ----------
    slowness : measured decode steps over simulated ones
    drift : as much of it as a machine drifts by itself, within 1 +- `DRIFT_BOUND`: what is corrected
    """

    rate_rps: float
    requests: int
    slowness: float
    drift: float
    rows: tuple[Row, ...]
    samples: Mapping[str, Served] = field(repr=False)

    @property
    def within(self) -> bool:
        return all(row.within for row in self.rows)

    @property
    def remark(self) -> str | None:
        """That the steps are further off than a machine drifts, and what that means; None where they are not."""
        if self.slowness == self.drift:
            return None
        way, when = ("longer", "run") if self.slowness > 1 else ("shorter", "profile")
        return (
            f"decode steps took {100 * abs(self.slowness - 1):.0f} % {way} than profiled, and a machine drifts by "
            f"{100 * DRIFT_BOUND:.0f} % at most: other work had its processors during the {when}, or the profile is "
            "another machine's"
        )


def compare_run(
    run: MeasuredRun,
    config: EngineConfig,
    step_time: StepTime,
    profiled: Steps,
    raw: Tolerance,
    corrected: Tolerance,
) -> Comparison:
    """Simulate the requests of a run and compare.

    Parameters
    ----------
    config, step_time : the engine as it was measured
    profiled : the steps that the step time was fitted on
    raw, corrected : tolerances without and with the drift factor
    """
    truth = measured(run)
    plain, steps = simulate(run, config, step_time)
    slowness = measured_slowness(run, steps, profiled)
    drift = min(max(slowness, 1 - DRIFT_BOUND), 1 + DRIFT_BOUND)
    shifted, _ = simulate(run, config, step_time.scaled(drift))
    rows = [
        Row(
            "throughput",
            "mean",
            truth.output_tokens_per_s,
            plain.output_tokens_per_s,
            shifted.output_tokens_per_s,
            raw.throughput,
            corrected.throughput,
        )
    ]
    for column in METRICS:
        values = [getattr(served, column) for served in (truth, plain, shifted)]
        if not all(np.isfinite(value).any() for value in values):
            continue
        metric = "itl" if column == "gaps_s" else column.removesuffix("_s")
        for q in QUANTILES:
            true, plain_q, shifted_q = (float(np.nanpercentile(value, q)) for value in values)
            limits = _limits(metric, q, raw, corrected)
            rows.append(Row(metric, f"p{q}", true, plain_q, shifted_q, *limits))
    samples = {"measured": truth, "simulated": plain, "drift-corrected": shifted}
    return Comparison(run.rate_rps, len(run.isl), slowness, drift, tuple(rows), samples)


def _limits(metric: str, q: int, raw: Tolerance, corrected: Tolerance) -> tuple[float | None, float | None]:
    if metric not in ("ttft", "tpot") or q not in (50, 99):
        return None, None
    return (raw.median, corrected.median) if q == 50 else (raw.p99, corrected.p99)
