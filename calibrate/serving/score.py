"""Errors of forecasts against what was measured, row by row and in groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from calibrate.serving.forecast import Forecast
from calibrate.serving.measured import Burst, ClosedLoop, MeasuredRow, OpenLoop
from calibrate.serving.sources import source_of
from simulator.catalog.expected import expected_error
from simulator.catalog.models import models
from simulator.perf.steptime import ExpectedError
from simulator.resolve.checkpoint import architecture

SCORED: dict[str, tuple[str, ...]] = {
    "ttft": ("p50", "mean"),
    "tpot": ("mean", "p50"),
    "throughput": ("total", "output", "requests"),
    "e2e": ("mean", "p50"),
}
"""Per metric the statistic that is compared: the first that was published."""
BELOW, SATURATED, BURST = "below saturation", "saturated", "burst"
QUEUE_FACTOR, QUEUE_S = 5.0, 1.0
"""An open loop is saturated when its mean TTFT is this many times that of a request alone, and above this time …"""
ACHIEVED_SHARE, LONG_RUN = 0.93, 5.0
"""… or when less than this share of the rate is served in a run this many times as long as a request."""
LEVELS = (0.0, 4.0, 16.0, 64.0, 256.0, np.inf)
"""Bounds of load levels: mean requests in flight, by Little's law from the measured figures."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A row, its forecast, its regime and load level."""

    row: MeasuredRow
    forecast: Forecast
    regime: str
    in_flight: float


def regime(row: MeasuredRow, forecast: Forecast) -> str:
    """Whether the server kept up with what was offered: from the measured figures, for a closed loop from whether the
    KV cache holds all users' contexts. A closed loop that sends more than half its requests at once is a burst."""
    if isinstance(row.load, Burst):
        return BURST
    if isinstance(row.load, ClosedLoop):
        if row.num_requests is not None and row.num_requests < 2 * row.load.concurrency:
            return BURST
        wanted = row.load.concurrency * (row.isl + row.generated_tokens / 2)
        return SATURATED if wanted > forecast.kv_tokens else BELOW
    ttft = row.figures.get(("ttft", "mean"), row.figures.get(("ttft", "p50"), 0.0))
    if ttft > max(QUEUE_FACTOR * forecast.alone_ttft_s, QUEUE_S):
        return SATURATED
    return SATURATED if _falls_short(row, row.load) else BELOW


def _falls_short(row: MeasuredRow, load: OpenLoop) -> bool:
    served = row.figures.get(("throughput", "requests"))
    stay_s = row.figures.get(("e2e", "mean"), _stay_s(row))
    if served is None or row.num_requests is None or stay_s is None:
        return False
    return served < ACHIEVED_SHARE * load.rate_rps and row.num_requests / load.rate_rps > LONG_RUN * stay_s


def _stay_s(row: MeasuredRow) -> float | None:
    ttft, tpot = (_measured(row, metric) for metric in ("ttft", "tpot"))
    return None if ttft is None or tpot is None else ttft + (row.generated_tokens - 1) * tpot


def _measured(row: MeasuredRow, metric: str) -> float | None:
    return next((row.figures[metric, stat] for stat in SCORED[metric] if (metric, stat) in row.figures), None)


def in_flight(row: MeasuredRow) -> float:
    """Mean requests in flight: the concurrency, or rate times stay; NaN where it does not follow."""
    if isinstance(row.load, ClosedLoop):
        return float(row.load.concurrency)
    stay_s = row.figures.get(("e2e", "mean"), _stay_s(row))
    rate = row.figures.get(("throughput", "requests"))
    if rate is None and ("throughput", "output") in row.figures:
        rate = row.figures["throughput", "output"] / row.osl
    return float("nan") if rate is None or stay_s is None else rate * stay_s


def score(row: MeasuredRow, forecast: Forecast) -> Scored:
    """Put a forecast beside its row."""
    return Scored(row, forecast, regime(row, forecast), in_flight(row))


def frame(scored: Iterable[Scored]) -> pd.DataFrame:
    """One line per row and metric: names, load, measured, simulated and relative error (simulated/measured - 1).

    `documented` is false where the source does not say which statistic it gives; `stated_p90` is the error that the
    catalog says nine of ten such forecasts keep within, and `within` whether this one does.
    """
    lines: list[dict[str, Any]] = []
    for one in scored:
        for metric, stats in SCORED.items():
            stat = next(
                (s for s in stats if (metric, s) in one.row.figures and (metric, s) in one.forecast.figures), ""
            )
            if not stat:
                continue
            measured, simulated = one.row.figures[metric, stat], one.forecast.figures[metric, stat]
            error, stated = simulated / measured - 1.0, stated_p90(one.row, metric, one.regime)
            lines.append(
                _names(one)
                | {"metric": metric, "statistic": stat, "measured": measured, "simulated": simulated, "error": error}
                | {"stated_p90": stated, "within": bool(abs(error) <= stated)}
            )
    columns = [*_NAMES, "metric", "statistic", "measured", "simulated", "error", "stated_p90", "within"]
    return pd.DataFrame(lines, columns=columns)


_NAMES = (
    "row_id",
    "place",
    "dataset",
    "model",
    "family",
    "gpu",
    "gpus",
    "dtype",
    "version",
    "isl",
    "osl",
    "load",
    "amount",
    "regime",
    "level",
    "documented",
    "compared_only",
)
"""`family` is the model's type in its config.json; `amount` a rate in requests/s or a concurrency, by `load`;
`compared_only` says that the source's data file keeps the row out of the fit and of the errors to expect."""


def stated_p90(row: MeasuredRow, metric: str, regime_name: str) -> float:
    """Error that nine of ten forecasts of a model that was not measured are said to keep within; E2E as TPOT, which has
    an error of its own where the server is full."""
    arch, _ = architecture(row.model, Path())
    return p90_of(expected_error(row.gpu, arch.experts > 0), metric, regime_name)


def p90_of(error: ExpectedError, metric: str, regime_name: str) -> float:
    """The part of an expected error that holds for a metric in a regime; NaN where none is known."""
    name = "tpot" if metric == "e2e" else metric
    if name == "tpot" and regime_name != BELOW:
        name = "tpot_full"
    stated: float | None = getattr(error, f"{name}_p90")
    return float("nan") if stated is None else stated


def family(name: str) -> str:
    """Type of a model's architecture in its config.json; empty for a model that is not in the catalog."""
    return str(models()[name].config.get("model_type", "")) if name in models() else ""


def _names(one: Scored) -> dict[str, Any]:
    row = one.row
    level = np.searchsorted(LEVELS, one.in_flight, side="right") - 1 if np.isfinite(one.in_flight) else 0
    titles = level_titles()
    documented = "statistic" not in source_of(row)
    values = (row.row_id, row.place, row.dataset, row.model, family(row.model), row.gpu, row.gpus, row.dtype)
    amount = getattr(row.load, "rate_rps", getattr(row.load, "concurrency", np.nan))
    load = (row.engine_version, row.isl, row.osl, type(row.load).__name__, amount)
    told = (one.regime, titles[level], documented, "not_fitted" in source_of(row))
    return dict(zip(_NAMES, (*values, *load, *told), strict=True))


def counts(metric: str, regime_name: str) -> bool:
    """Whether a metric is scored in a regime: in a queue, TTFT and E2E are places in it."""
    return regime_name == BELOW or metric in ("tpot", "throughput")


def summary(lines: pd.DataFrame) -> dict[str, float | int]:
    """Rows, median and 90th percentile of the absolute error, median signed error (bias), and `coverage`: the share
    that keeps within the error stated for nine of ten; as fractions."""
    if lines.empty:
        return {"rows": 0}
    errors = lines["error"]
    return {
        "rows": len(errors),
        "median_abs_error": float(errors.abs().median()),
        "p90_abs_error": float(errors.abs().quantile(0.9)),
        "bias": float(errors.median()),
        "coverage": float(lines["within"].mean()),
    }


def by_metric(lines: pd.DataFrame) -> dict[str, dict[str, float | int]]:
    """Summary per metric over the lines in which it counts."""
    scored = np.array([counts(m, r) for m, r in zip(lines["metric"], lines["regime"], strict=True)], dtype=np.bool_)
    kept = lines[scored]
    return {metric: summary(kept[kept["metric"] == metric]) for metric in SCORED if (kept["metric"] == metric).any()}


def grouped(lines: pd.DataFrame, key: str | Callable[[pd.DataFrame], pd.Series]) -> dict[str, Any]:
    """`by_metric` of every group."""
    values = lines[key] if isinstance(key, str) else key(lines)
    groups = {str(name): by_metric(part) for name, part in lines.groupby(values, sort=True)}
    if key != "level":
        return groups
    return {title: groups[title] for title in level_titles() if title in groups}


def level_titles() -> list[str]:
    """Names of the load levels, lightest first."""
    return [f"{low:g}-{high:g}" for low, high in pairwise(LEVELS)]
