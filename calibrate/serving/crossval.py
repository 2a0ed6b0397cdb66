"""Cross-validation: every model, then every GPU left out of the fit in turn and forecast by what is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from calibrate.serving.fit import Fit, Parameter, Runs, refit_without
from calibrate.serving.forecast import simulate_runs
from calibrate.serving.score import BELOW, BURST, SATURATED, by_metric, frame, score
from calibrate.serving.trial import trial_steps
from simulator.catalog.expected import LEAST_ROWS
from simulator.catalog.models import models

FOLDS = ("model", "gpu")
COUNTED = ("tpot", "ttft", "throughput")
SERIES = ["dataset", "model", "gpu", "gpus", "dtype"]


@dataclass(frozen=True, slots=True)
class Validation:
    """Lines (as `score.frame`) in sample, and with each model or GPU left out."""

    in_sample: pd.DataFrame
    model: pd.DataFrame
    gpu: pd.DataFrame


def cross_validate(runs: Sequence[Runs], result: Fit, parameters: Sequence[Parameter]) -> Validation:
    """Forecast every row with the full fit, and with the fits that have not seen its model or its GPU."""
    frames = {key: _left_out(runs, result, parameters, key) for key in FOLDS}
    scored = [score(cases[0].row, simulate_runs(cases, partial(trial_steps, result.values))) for cases in runs]
    return Validation(frame(scored), frames["model"], frames["gpu"])


def _left_out(runs: Sequence[Runs], result: Fit, parameters: Sequence[Parameter], key: str) -> pd.DataFrame:
    names = [str(getattr(cases[0].row, key)) for cases in runs]
    scored = []
    for name in sorted(set(names)):
        fold = np.array([one == name for one in names])
        values = refit_without(result, parameters, fold)
        for cases, held_out in zip(runs, fold, strict=True):
            if held_out:
                scored.append(score(cases[0].row, simulate_runs(cases, partial(trial_steps, values))))
    return frame(scored)


def tables(validation: Validation) -> dict[str, Any]:
    """Summaries by file, fold and regime."""
    kinds = {"in sample": validation.in_sample, "model left out": validation.model, "GPU left out": validation.gpu}
    files = validation.in_sample["place"].str.rsplit(":", n=1).str[0]
    return {
        str(file): {
            title: _by_regime(lines[lines["place"].str.startswith(f"{file}:")]) for title, lines in kinds.items()
        }
        for file in files.unique()
    }


def _by_regime(lines: pd.DataFrame) -> dict[str, Any]:
    return {regime: by_metric(lines[lines["regime"] == regime]) for regime in (BELOW, SATURATED, BURST)}


def error_groups(validation: Validation) -> list[dict[str, Any]]:
    """Errors to expect: by GPU with other models left out, and over all GPUs with GPUs left out.

    TPOT and TTFT below saturation, throughput where the server sets it: saturated, and bursts. Below saturation an open
    loop's throughput is what was offered, whatever the forecast. Of TTFT only rows whose statistic is documented count:
    a mean over a run's beginning and a median differ several times. A series (source, model, GPUs, format) weighs as
    the square root of its rows, as in the fit.
    """
    groups: list[dict[str, Any]] = []
    for kind, experts in (("dense", False), ("experts", True)):
        seen = _of_kind(validation.model, experts)
        own = [_group(part, str(gpu), kind) for gpu, part in seen.groupby("gpu", sort=True)]
        groups += [one for one in own if any(one[metric]["error"] is not None for metric in COUNTED)]
        groups.append(_group(_of_kind(validation.gpu, experts), "other", kind))
    return groups


def _of_kind(lines: pd.DataFrame, experts: bool) -> pd.DataFrame:
    known = models()
    has = lines["model"].map(lambda name: name in known and known[name].architecture.experts > 0)
    return lines[has == experts]


def _group(lines: pd.DataFrame, gpu: str, kind: str) -> dict[str, Any]:
    below = lines[lines["regime"] == BELOW]
    counted = {
        "tpot": below[below["metric"] == "tpot"],
        "ttft": below[(below["metric"] == "ttft") & below["documented"]],
        "throughput": lines[(lines["metric"] == "throughput") & (lines["regime"] != BELOW)],
    }
    return {
        "gpu": gpu,
        "kind": kind,
        **{
            metric: {
                "error": _median_error(part),
                "rows": len(part),
                "models": int(part["model"].nunique()),
                "gpus": int(part["gpu"].nunique()),
            }
            for metric, part in counted.items()
        },
    }


def _median_error(lines: pd.DataFrame) -> float | None:
    """Median absolute error with the series' weights; None for fewer than `LEAST_ROWS` rows."""
    if len(lines) < LEAST_ROWS:
        return None
    rows = lines.groupby([lines[name] for name in SERIES])["error"].transform("size")
    ordered = pd.DataFrame({"error": lines["error"].abs(), "weight": rows**-0.5}).sort_values("error")
    reached = ordered["weight"].cumsum()
    return float(ordered["error"].iloc[int(np.searchsorted(reached, reached.iloc[-1] / 2))])
