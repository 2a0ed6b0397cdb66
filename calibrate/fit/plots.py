"""Predicted against measured steps, and residuals by regime, as one HTML page."""

from __future__ import annotations

from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

from calibrate.fit.fit import Fit
from calibrate.fit.solve import predict_s
from calibrate.recording.steps import REGIMES, Steps
from simulator.report.page import write_page

_WIDTH, _HEIGHT = 420, 300


def step_frame(fit: Fit, steps: Steps) -> pd.DataFrame:
    """One row a step: regime, what was in it, measured and predicted milliseconds, error in percent."""
    predicted_s = predict_s(fit.solution.coefficients, steps)
    return pd.DataFrame(
        {
            "regime": np.array(REGIMES)[steps.regime],
            "tokens": steps.tokens,
            "sequences": steps.sequences,
            "measured_ms": steps.duration_s * 1e3,
            "predicted_ms": predicted_s * 1e3,
            "error_percent": 100.0 * (predicted_s / steps.duration_s - 1.0),
        }
    )


def write_plots(fit: Fit, steps: Steps, path: Path) -> None:
    """Write the page.

    Raises
    ------
    InputError : the file cannot be written
    """
    frame = step_frame(fit, steps)
    low, high = frame[["measured_ms", "predicted_ms"]].to_numpy().min(), frame["measured_ms"].max()
    scale = alt.Scale(type="log", domain=[float(low), float(high)])
    points = (
        alt.Chart(frame, title="Predicted against measured steps", width=_WIDTH, height=_HEIGHT)
        .mark_circle(opacity=0.5)
        .encode(
            alt.X("measured_ms", scale=scale, title="measured (ms)"),
            alt.Y("predicted_ms", scale=scale, title="predicted (ms)"),
            alt.Color("regime", sort=list(REGIMES)),
            tooltip=list(frame.columns),
        )
    )
    line = (
        alt.Chart(pd.DataFrame({"x": [low, high], "y": [low, high]}))
        .mark_line(color="grey", strokeDash=[4, 4])
        .encode(alt.X("x", scale=scale), alt.Y("y", scale=scale))
    )
    residuals = (
        alt.Chart(frame, title="Residuals by regime", width=_WIDTH // 2, height=_HEIGHT)
        .mark_circle(opacity=0.5)
        .encode(
            alt.X("tokens", scale=alt.Scale(type="log"), title="tokens in the step"),
            alt.Y("error_percent", title="error (%)"),
            alt.Color("regime", sort=list(REGIMES)),
            alt.Column("regime", sort=list(REGIMES), title=None),
            tooltip=list(frame.columns),
        )
    )
    write_page("Step-time fit", [], [points + line, residuals], path)
