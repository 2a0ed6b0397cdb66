"""Charts of one replica's steps and of one request's life."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from simulator.report.charts import stacked

_KINDS = ("prefill", "decode")
_COLOURS = ("#0072B2", "#009E73")


def step_timeline(steps: pd.DataFrame) -> Any:
    """Tokens of each step by kind, sequences and KV blocks over time; a step is as wide as it takes.

    A title that is longer than a phone has room for would take the width from all rows.
    """
    data = steps.assign(end_s=steps["start_s"] + steps["duration_s"], kv_percent=100 * steps["kv_usage"])
    by_kind = [
        data.assign(kind="decode", tokens=data["decode_tokens"], below=0),
        data.assign(kind="prefill", tokens=data["prefill_tokens"], below=data["decode_tokens"]),
    ]
    long = pd.concat(by_kind)[["start_s", "end_s", "duration_s", "kind", "tokens", "below"]]
    long["above"] = long["below"] + long["tokens"]
    domain = [float(data["start_s"].min()), float(data["end_s"].max())]
    x = alt.X("start_s:Q", title="simulated time [s]", scale=alt.Scale(domain=domain, nice=False))
    tokens = (
        alt.Chart(long[long["tokens"] > 0])
        .mark_rect()
        .encode(
            x=x,
            x2="end_s:Q",
            y=alt.Y("below:Q", title=None),
            y2="above:Q",
            color=_colour(),
            tooltip=["kind", "tokens", alt.Tooltip("start_s", format=".4f"), alt.Tooltip("duration_s", format=".4g")],
        )
    )
    rows = [tokens.properties(title="Tokens of each step", height=170, width=700)]
    for column, title in (
        ("sequences", "Requests in the step"),
        ("kv_percent", "KV blocks in use [%]"),
        ("duration_s", "Time of the step [s]"),
        ("cached_tokens", "Prompt tokens found in cache"),
        ("preempted", "Requests preempted"),
    ):
        if column not in ("preempted", "cached_tokens") or data[column].any():
            line = (
                alt.Chart(data)
                .mark_line(interpolate="step-after")
                .encode(x=x, y=alt.Y(f"{column}:Q", title=None), tooltip=[alt.Tooltip("start_s", format=".4f"), column])
            )
            rows.append(line.properties(title=title, height=100, width=700))
    return stacked(rows)


def _colour() -> alt.Color:
    legend = alt.Legend(orient="bottom", symbolStrokeWidth=0)
    return alt.Color("kind:N", scale=alt.Scale(domain=list(_KINDS), range=list(_COLOURS)), title=None, legend=legend)


def request_life(parts: pd.DataFrame) -> Any:
    """Steps in which requests took part, one row a request: prompt chunks, then tokens."""
    data = parts.assign(end_s=parts["start_s"] + parts["duration_s"])
    return (
        alt.Chart(data)
        .mark_bar(stroke="gray", strokeWidth=0.3)
        .encode(
            x=alt.X("start_s:Q", title="simulated time [s]", scale=alt.Scale(zero=False, nice=False)),
            x2="end_s:Q",
            y=alt.Y("request:N", title="request", axis=alt.Axis(labelOverlap=False)),
            color=_colour(),
            tooltip=["request", "kind", "tokens", "before", alt.Tooltip("start_s", format=".4f")],
        )
        .properties(height=alt.Step(16))
    )
