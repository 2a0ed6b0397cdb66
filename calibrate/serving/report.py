"""The whole comparison: simulate every row, and summarise for JSON and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from calibrate.serving.forecast import StepModel, prepare_runs, simulate_runs
from calibrate.serving.knee import Knee, knees
from calibrate.serving.measured import Excluded
from calibrate.serving.names import NotSupported
from calibrate.serving.read import ServingTable
from calibrate.serving.score import BELOW, BURST, SATURATED, Scored, by_metric, frame, grouped, score

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows that were simulated, those that were not, and the knees."""

    scored: tuple[Scored, ...]
    excluded: tuple[Excluded, ...]
    knees: tuple[Knee, ...]

    @property
    def lines(self) -> pd.DataFrame:
        return frame(self.scored)


def compare_rows(
    table: ServingTable,
    step_model: StepModel,
    progress: Progress | None = None,
    *,
    seed: int = 0,
    cv_scale: float = 1.0,
) -> Comparison:
    """Simulate every row of the table."""
    scored: list[Scored] = []
    excluded = list(table.excluded)
    for k, row in enumerate(table.rows):
        try:
            cases = prepare_runs(row, seed=seed, cv_scale=cv_scale)
            scored.append(score(row, simulate_runs(cases, step_model)))
        except NotSupported as reason:
            excluded.append(Excluded(row.place, row.row_id, str(reason)))
        if progress:
            progress(row.row_id, (k + 1) / len(table.rows))
    return Comparison(tuple(scored), tuple(excluded), tuple(knees(scored)))


def as_json(comparison: Comparison) -> dict[str, Any]:
    """JSON-ready result: `overall`, `by_gpu`, `by_model`, … with errors as fractions, `knees`, `excluded`.

    TTFT whose statistic the source does not say counts in `by_file` alone.
    """
    lines = comparison.lines
    below = lines[lines["regime"] == BELOW]
    stated = stated_of(below)
    return {
        "rows": {"simulated": len(comparison.scored), "excluded": len(comparison.excluded)},
        "overall": by_metric(stated),
        "saturated": by_metric(lines[lines["regime"] == SATURATED]),
        "burst": by_metric(lines[lines["regime"] == BURST]),
        "compared_only": {
            regime: by_metric(lines[(lines["regime"] == regime) & lines["compared_only"].astype(bool)])
            for regime in (BELOW, SATURATED, BURST)
        },
        "fitted_sources": {
            regime: by_metric(stated_of(lines[(lines["regime"] == regime) & ~lines["compared_only"].astype(bool)]))
            for regime in (BELOW, SATURATED, BURST)
        },
        "by_file": grouped(below, lambda part: part["place"].str.rsplit(":", n=1).str[0]),
        "by_gpu": grouped(stated, "gpu"),
        "by_model": grouped(stated, "model"),
        "by_family": grouped(stated, "family"),
        "by_dataset": grouped(stated, "dataset"),
        "by_load_level": grouped(stated, "level"),
        "by_gpus": grouped(stated, "gpus"),
        "by_dtype": grouped(stated, "dtype"),
        "saturated_and_burst_by_gpu": grouped(lines[lines["regime"] != BELOW], "gpu"),
        "saturated_and_burst_by_model": grouped(lines[lines["regime"] != BELOW], "model"),
        "saturated_and_burst_by_dataset": grouped(lines[lines["regime"] != BELOW], "dataset"),
        "knees": [
            {
                "series": knee.series,
                "rates_rps": list(knee.rates_rps),
                "measured_step": knee.measured,
                "simulated_step": knee.simulated,
            }
            for knee in comparison.knees
        ],
        "worst": worst(lines),
        "lines": as_records(lines),
        "excluded": [{"place": e.place, "row_id": e.row_id, "reason": e.reason} for e in comparison.excluded],
    }


def stated_of(lines: pd.DataFrame) -> pd.DataFrame:
    """Without TTFT whose statistic the source does not say."""
    return lines[lines["documented"].astype(bool) | (lines["metric"] != "ttft")]


def as_records(lines: pd.DataFrame) -> list[dict[str, Any]]:
    """Every line as it is printed: JSON has no NaN, so what is not known is null."""
    return [
        {str(name): None if isinstance(value, float) and np.isnan(value) else value for name, value in line.items()}
        for line in lines.to_dict("records")
    ]


def worst(lines: pd.DataFrame, most: int = 15) -> list[dict[str, Any]]:
    """Rows with the largest error of TPOT."""
    tpot = lines[lines["metric"] == "tpot"]
    order = tpot["error"].abs().sort_values(ascending=False, kind="stable").index[:most]
    kept = ["row_id", "model", "gpu", "gpus", "dtype", "regime", "measured", "simulated", "error"]
    chosen = tpot.loc[order, kept]
    return [dict(zip(kept, values, strict=True)) for values in chosen.itertuples(index=False, name=None)]


GROUPS: Sequence[tuple[str, str]] = (
    ("by_gpu", "GPU"),
    ("by_family", "family"),
    ("by_dataset", "source"),
    ("by_load_level", "requests in flight"),
)
METRICS = ("tpot", "throughput", "ttft", "e2e")


def table_rows(result: dict[str, Any]) -> list[list[str]]:
    """Rows of the printed table: overall, saturated, burst, then groups below saturation."""
    regimes = (("overall", "all rows below saturation"), ("saturated", "saturated"), ("burst", "burst"))
    rows = [_line(title, result[key]) for key, title in regimes]
    for key, title in GROUPS:
        rows += [_line(f"{title} {name}", metrics) for name, metrics in result[key].items()]
    return rows


def knee_rows(found: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Rows of the table of knees: series, its rates, and the rate of the knee as measured and as simulated."""
    rows = []
    for knee in found:
        rates = [f"{rate:g}" for rate in knee["rates_rps"]]
        places = [knee[f"{which}_step"] for which in ("measured", "simulated")]
        rows.append([knee["series"], ", ".join(rates), *((*rates, "never")[place] for place in places)])
    return rows


HEADERS = ("rows", *(f"{metric} {part}" for metric in METRICS for part in ("n", "median", "p90", "bias", "covered")))


LINE_HEADERS = (
    "row",
    "source",
    "model",
    "GPUs",
    "load",
    "regime",
    "metric",
    "measured",
    "simulated",
    "error",
    "stated",
)


def line_rows(lines: pd.DataFrame) -> list[list[str]]:
    """Rows of the printed table of every line; latencies in ms."""
    return [_line_row(one) for one in as_records(lines)]


def _line_row(one: dict[str, Any]) -> list[str]:
    scale = 1.0 if one["metric"] == "throughput" else 1e3
    load = one["load"] if one["amount"] is None else f"{one['load']} {one['amount']:g}"
    stated = "" if one["stated_p90"] is None else f"±{100 * one['stated_p90']:.0f}%"
    names = [one["row_id"], one["dataset"], f"{one['model']} {one['dtype']}", f"{one['gpus']} x {one['gpu']}"]
    figures = [f"{scale * one[which]:.4g}" for which in ("measured", "simulated")]
    metric = f"{one['metric']} {one['statistic']}"
    return [*names, load, one["regime"], metric, *figures, f"{100 * one['error']:+.1f}%", stated]


def _line(title: str, metrics: dict[str, Any]) -> list[str]:
    cells = [title]
    for metric in METRICS:
        found = metrics.get(metric, {})
        if not found:
            cells += ["-"] * 5
            continue
        cells.append(str(found["rows"]))
        cells += [f"{100 * found[part]:.1f}%" for part in ("median_abs_error", "p90_abs_error")]
        cells += [f"{100 * found['bias']:+.1f}%", f"{100 * found['coverage']:.0f}%"]
    return cells
