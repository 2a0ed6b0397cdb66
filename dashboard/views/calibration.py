"""Calibration: may I trust it?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components.chart import show_chart
from dashboard.components.flow import flow
from dashboard.components.table import show_table
from dashboard.components.words import plain, sentence
from dashboard.context import Context
from dashboard.settings import settings
from simulator.catalog.expected import TITLES, ErrorGroup, error_table
from simulator.catalog.titles import in_titles, short_title
from simulator.errors import InputError, Problem
from simulator.report.calibration_charts import drift_slices, error_bars, measured_rows
from simulator.report.table import warnings

_PERIOD_S = 5.0
_CHART_PX = 300
"""Least width of a chart of errors."""


def show(context: Context | None) -> None:
    """What the run's step times rest on, errors by GPU, and files of measurements."""
    st.title("Calibration")
    st.caption("May I trust it? Where step times come from, and how far forecasts were from what was measured.")
    if context is not None:
        _run(context)
    st.header("Errors on published results, by GPU")
    table = error_table()
    rows = pd.DataFrame([_row(group) for group in table.groups])
    row = flow("calibration.charts", _CHART_PX)
    for metric in TITLES:
        with row.container():
            words = f"errors of {TITLES[metric]}, by GPU"
            show_chart(error_bars(rows, metric), f"calibration.groups.{metric}", words)
    config = {name: st.column_config.NumberColumn(words, format="percent") for name, words in TITLES.items()}
    config |= {f"{name} p90": st.column_config.NumberColumn("nine of ten", format="percent") for name in TITLES}
    config |= {f"{name} {of}": st.column_config.NumberColumn(of) for name in TITLES for of in ("points", "models")}
    show_table(rows, key="calibration.table", column_config=config)
    folds = f"each model left out in turn ({table.fitted})"
    st.caption(f"Absolute error in the median and in nine of ten cases, {folds}: {table.basis.source}.")
    _measurements()
    _live()


def _row(group: ErrorGroup) -> dict[str, Any]:
    """Error of each metric, with the points and models that it rests on."""
    row: dict[str, Any] = {"gpu": short_title("gpu", group.gpu), "kind": group.kind}
    for metric in TITLES:
        found = getattr(group, metric)
        row |= {
            metric: found.error,
            f"{metric} p90": found.p90,
            f"{metric} points": found.rows,
            f"{metric} models": found.models,
        }
    return row


def _run(context: Context) -> None:
    rows = []
    for name, found in context.topologies.items():
        for pool in found["pools"]:
            error = pool["expected_error"] or {}
            rows.append(
                {"topology": name, "pool": pool["name"], "GPU": short_title("gpu", pool["gpu"])}
                | {f"error {words}": error.get(metric) for metric, words in TITLES.items()}
                | {"step times": in_titles(pool["step_time"])}
                | {"basis": in_titles(error.get("basis", "no measurement says how far this is off"))}
            )
    if rows:
        st.header("This run")
        config = {f"error {words}": st.column_config.NumberColumn(format="percent") for words in TITLES.values()}
        show_table(pd.DataFrame(rows), key="calibration.run", column_config=config)
    for text in warnings(context.topologies, {"trust"}):
        st.warning(sentence(text), icon=":material/straighten:")


def _measurements() -> None:
    st.header("Your measurements")
    file = st.file_uploader(
        "JSON of `servecast verify gpu`, `verify latency` or `calibrate validate` (`--format json`)",
        type=["json"],
        key="calibration.upload",
    )
    if file is None:
        return
    rows = measured_rows(_json(file.getvalue(), file.name))
    if not rows:
        raise InputError(Problem("holds no errors of forecasts that this view knows", file.name))
    config = {"error": st.column_config.NumberColumn(format="percent")}
    show_table(pd.DataFrame(rows), key="calibration.measured", column_config=config)


def _live() -> None:
    st.header("A live server")
    if settings().live is None:
        st.caption(
            "None is watched. `servecast calibrate live URL --out FOLDER` watches one, and `servecast dashboard --live "
            "FOLDER` shows here what it found."
        )
    else:
        _watch(str(settings().live))


@st.fragment(run_every=_PERIOD_S)
def _watch(path: str) -> None:
    file = Path(path) / "report.json"
    if not file.is_file():
        st.info(
            f"There is no report.json in {plain(path)} yet; it is written when the watch ends.",
            icon=":material/hourglass:",
        )
        return
    try:
        report = _json(file.read_bytes(), str(file))
        drift = report["drift"]
        words = "significant" if drift["significant"] else "not significant"
        st.metric(
            "Steps take, against the profile",
            f"{drift['factor']:.3f} ×",
            f"{drift['low']:.3f} to {drift['high']:.3f}: {words}",
            delta_color="off",
            border=True,
        )
        show_chart(drift_slices(report), "calibration.drift", "time of steps against the profile, by part of the watch")
        show_table(pd.DataFrame(report["comparison"]), key="calibration.comparison")
    except (InputError, KeyError, TypeError) as error:
        st.error(plain(f"{file} is no report of servecast calibrate live: {error}"), icon=":material/error:")


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(Problem(f"is not JSON: {error}", name)) from error
    if not isinstance(value, dict):
        raise InputError(Problem("is not a JSON object", name))
    return value
