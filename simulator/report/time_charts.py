"""Charts over simulated time: does capacity follow demand?"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from simulator.report.charts import PALETTE, stacked

_ROW_HEIGHT = 120
ROWS = (
    ("arrivals_per_s", "requests arriving per s"),
    ("output_tokens_per_s", "output tokens per s"),
    ("running", "requests running"),
    ("waiting", "requests waiting"),
    ("kv_percent", "KV blocks in use, mean of replicas [%]"),
    ("ready", "replicas ready"),
    ("starting", "replicas starting (paid for)"),
)
"""Column and words of each row."""


def rates(fleet: pd.DataFrame, topology: str, replication: int = 0) -> pd.DataFrame:
    """Samples of one topology and replication, with what was counted since the sample before as rates per second."""
    data = fleet[(fleet["topology"] == topology) & (fleet["replication"] == replication)].copy()
    data = data.sort_values(["pool", "time_s"], kind="stable")
    step_s = data.groupby("pool")["time_s"].diff()
    for column in ("arrivals", "output_tokens"):
        data[f"{column}_per_s"] = data[column] / step_s
    data["kv_percent"] = 100 * data["kv_usage"]
    data["minutes"] = data["time_s"] / 60
    return data


def load_over_time(data: pd.DataFrame) -> Any:
    """One row a quantity, one line a pool, all on the same minutes; drag to move, scroll to zoom."""
    pools = list(dict.fromkeys(data["pool"]))
    base = (
        alt.Chart(data)
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("minutes:Q", title="minutes"),
            color=alt.Color("pool:N", scale=alt.Scale(domain=pools, range=list(PALETTE)), title="pool"),
        )
        .properties(height=_ROW_HEIGHT)
    )
    rows = [
        base.encode(
            y=alt.Y(f"{column}:Q", title=None),
            tooltip=["pool", alt.Tooltip("minutes", format=".1f"), alt.Tooltip(column, format=",.1f")],
        ).properties(title=words, width=700)
        for column, words in ROWS
        if data[column].notna().any() and (column not in ("waiting", "starting") or data[column].any())
    ]
    return stacked(rows)
