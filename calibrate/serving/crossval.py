"""Cross-validation: every model, every GPU and every source left out of the fit in turn and forecast by the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from calibrate.serving.fit import Fit, Parameter, Runs, refit_without
from calibrate.serving.report import stated_of
from calibrate.serving.score import BELOW, BURST, SATURATED, by_metric, frame, p90_of, score
from calibrate.serving.select import thinned
from calibrate.serving.trial import trial_forecast
from simulator.catalog.expected import LEAST_ROWS, ErrorGroup, expected_error
from simulator.catalog.models import models

FOLDS = ("model", "gpu", "dataset")
MOST_LEFT_OUT = 6
"""Rows of one series that a fold forecasts."""
COUNTED = ("tpot", "tpot_full", "ttft", "throughput")
ALL = "all but those only compared"
"""Rows of all sources together, in the summaries."""
SERIES = ["dataset", "model", "gpu", "gpus", "dtype"]


@dataclass(frozen=True, slots=True)
class Validation:
    """Lines (as `score.frame`) in sample, and with each model, GPU or source left out."""

    in_sample: pd.DataFrame
    model: pd.DataFrame
    gpu: pd.DataFrame
    dataset: pd.DataFrame


def cross_validate(
    runs: Sequence[Runs], fitted: Sequence[Runs], result: Fit, parameters: Sequence[Parameter]
) -> Validation:
    """Forecast every row with the full fit, and some of each series with the fits that have not seen its model, its
    GPU or its source.

    Parameters
    ----------
    fitted : rows that the fit rests on, as `Fit.owners` counts them
    """
    some = thinned(runs, MOST_LEFT_OUT)
    frames = {key: _left_out(some, fitted, result, parameters, key) for key in FOLDS}
    scored = [score(cases[0].row, trial_forecast(result.values, cases)) for cases in runs]
    return Validation(frame(scored), *(frames[key] for key in FOLDS))


def _left_out(
    runs: Sequence[Runs], fitted: Sequence[Runs], result: Fit, parameters: Sequence[Parameter], key: str
) -> pd.DataFrame:
    def names(some: Sequence[Runs]) -> list[str]:
        return [str(getattr(cases[0].row, key)) for cases in some]

    scored = []
    for name in sorted(set(names(runs))):
        values = refit_without(result, parameters, np.array([one == name for one in names(fitted)]))
        for cases, own in zip(runs, names(runs), strict=True):
            if own == name:
                scored.append(score(cases[0].row, trial_forecast(values, cases)))
    return frame(scored)


def tables(validation: Validation, groups: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summaries by source, fold and regime, with the share of the rows that keeps within what `groups` state."""
    stated = [ErrorGroup.model_validate(group) for group in groups]
    kinds = {
        "in sample": _held(validation.in_sample, stated),
        "model left out": _held(validation.model, stated),
        "GPU left out": _held(validation.gpu, stated),
        "source left out": _held(validation.dataset, stated),
    }
    together = {title: _by_regime(stated_of(_trusted(lines))) for title, lines in kinds.items()}
    return {ALL: together} | {
        str(source): {title: _by_regime(lines[lines["dataset"] == source]) for title, lines in kinds.items()}
        for source in sorted(validation.in_sample["dataset"].unique())
    }


def coverage(lines: pd.DataFrame) -> dict[str, Any]:
    """Rows, and the share of them within the error that nine of ten are said to keep within, where that error comes
    from the rows of all other sources; by source, regime and metric."""
    kept = []
    for source, own in _trusted(lines).groupby("dataset", sort=True):
        others = lines[lines["dataset"] != source]
        found = error_groups(Validation(others, others, others, others))
        groups = [ErrorGroup.model_validate(one) for one in found]
        kept.append(_held(own[_has_experts(own).isin(_told(groups))], groups))
    held = stated_of(pd.concat(kept))
    parts = [(ALL, held), *((str(source), part) for source, part in held.groupby("dataset", sort=True))]
    return {title: {regime: _shares(part, regime) for regime in (BELOW, SATURATED, BURST)} for title, part in parts}


def _told(groups: Sequence[ErrorGroup]) -> set[bool]:
    """Whether errors are stated of models with experts, and of those without."""
    return {group.kind == "experts" for group in groups if group.gpu == "other" and group.tpot.error is not None}


def _held(lines: pd.DataFrame, groups: Sequence[ErrorGroup]) -> pd.DataFrame:
    """With `within` by these groups; none is where they state no error."""
    told = _told(groups)
    named = zip(lines["gpu"], _has_experts(lines), lines["metric"], lines["regime"], strict=True)
    stated = [
        p90_of(expected_error(gpu, experts, among=groups), metric, regime) if experts in told else np.nan
        for gpu, experts, metric, regime in named
    ]
    return lines.assign(within=lines["error"].abs() <= np.array(stated, dtype=np.float64))


def _shares(lines: pd.DataFrame, regime: str) -> dict[str, dict[str, float | int]]:
    """Of the metrics of which an error is stated in a regime; below saturation throughput is what was offered."""
    metrics = ("tpot", "ttft") if regime == BELOW else ("tpot", "throughput")
    of = {metric: lines[(lines["regime"] == regime) & (lines["metric"] == metric)] for metric in metrics}
    return {
        metric: {"rows": len(part), "coverage": float(part["within"].mean())}
        for metric, part in of.items()
        if len(part)
    }


def _trusted(lines: pd.DataFrame) -> pd.DataFrame:
    """Without rows that are only compared."""
    return lines[~lines["compared_only"].astype(bool)]


def _has_experts(lines: pd.DataFrame) -> pd.Series:
    known = models()
    return lines["model"].map(lambda name: name in known and known[name].architecture.experts > 0).astype(bool)


def _by_regime(lines: pd.DataFrame) -> dict[str, Any]:
    return {regime: by_metric(lines[lines["regime"] == regime]) for regime in (BELOW, SATURATED, BURST)}


def error_groups(validation: Validation) -> list[dict[str, Any]]:
    """Errors to expect, in the median and in nine of ten cases: by GPU with other models left out, and over all GPUs
    with GPUs left out.

    TPOT and TTFT below saturation, TPOT of full servers by itself, throughput where the server sets it: saturated, and
    bursts. Below saturation an open
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
    lines = _trusted(lines)
    return lines[_has_experts(lines) == experts]


def _group(lines: pd.DataFrame, gpu: str, kind: str) -> dict[str, Any]:
    below, full = lines[lines["regime"] == BELOW], lines[lines["regime"] != BELOW]
    counted = {
        "tpot": below[below["metric"] == "tpot"],
        "tpot_full": full[full["metric"] == "tpot"],
        "ttft": below[(below["metric"] == "ttft") & below["documented"]],
        "throughput": full[full["metric"] == "throughput"],
    }
    return {
        "gpu": gpu,
        "kind": kind,
        **{
            metric: {
                "error": _error(part, 0.5),
                "p90": _error(part, 0.9),
                "rows": len(part),
                "models": int(part["model"].nunique()),
                "gpus": int(part["gpu"].nunique()),
            }
            for metric, part in counted.items()
        },
    }


def _error(lines: pd.DataFrame, share: float) -> float | None:
    """Absolute error that `share` of the rows keep within, with the series' weights; None for fewer than `LEAST_ROWS`
    rows."""
    if len(lines) < LEAST_ROWS:
        return None
    rows = lines.groupby([lines[name] for name in SERIES])["error"].transform("size")
    ordered = pd.DataFrame({"error": lines["error"].abs(), "weight": rows**-0.5}).sort_values("error")
    reached = ordered["weight"].cumsum()
    place = min(int(np.searchsorted(reached, reached.iloc[-1] * share)), len(ordered) - 1)
    return float(ordered["error"].iloc[place])
