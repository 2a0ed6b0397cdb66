"""When it is busy, and how much could still come then: load and used capacity by day and hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from simulator.report.time_axis import DAYS
from simulator.report.time_charts import rows_of
from simulator.units import SECONDS_PER_DAY, SECONDS_PER_HOUR

_CELLS_H = (1, 2, 3, 4, 6, 12, 24)
_MOST_DAYS = 14
"""That have a row each: of more, each weekday has one."""
_CELL_PX = 29
_DARK = 0.5


def by_hour(
    read: Callable[[str], pd.DataFrame], topology: str, summary: Mapping[str, Any], replication: int | None = None
) -> pd.DataFrame:
    r"""Mean load and used capacity by day and hour of the day, local time.

    A cell is an hour, or as many as a period of the run's `demand` table has at least. A period that lies in two cells
    counts in each by its share of time. With $a$ requests in the $T$ seconds of a cell, of which $a_p$ came to pools
    with ready replicas for $c$ requests per s in the mean:

    .. math:: \text{arrived per s} = a / T, \qquad \text{used} = a_p / (c T)

    Parameters
    ----------
    read : gives a table of the bundle by its name, as `Bundle.table` does
    summary : of the topology
    replication : None for the mean of all

    Returns
    -------
    Columns `day` (`Mon 1`, …; of more than 14 days the weekday, mean over the weeks), `hour` (at which the cell
    begins), `hours` (its length), `arrived_per_s`, and `used`, NaN without a pool whose capacity is known; no rows for
    a run within a day, or of periods that are longer than one.
    """
    demand, fleet = (rows_of(read(name), topology, replication) for name in ("demand", "fleet"))
    clock_s = float(summary.get("clock_s") or 0.0)
    period_s = float(demand["period_s"].iloc[0]) if len(demand) else np.inf
    cell_s = next((hours * SECONDS_PER_HOUR for hours in _CELLS_H if hours * SECONDS_PER_HOUR >= period_s), 0)
    span_s = float(demand["time_s"].max()) + period_s if cell_s else 0.0
    if span_s <= SECONDS_PER_DAY:
        return pd.DataFrame(columns=["day", "hour", "hours", "arrived_per_s", "used"])
    known = {pool["name"]: pool["replica_capacity_rps"] for pool in summary["pools"] if pool["replica_capacity_rps"]}
    replications = demand["replication"].nunique()
    demand = demand.assign(pools=demand["arrived"].where(demand["target"].isin(list(known)), 0))
    periods = demand.groupby("time_s")[["arrived", "pools"]].sum() / replications
    start_s = periods.index.to_numpy() + clock_s
    first = np.minimum((np.floor(start_s / cell_s) + 1) * cell_s - start_s, period_s) / period_s
    cells = np.floor(start_s / cell_s)
    pieces = [
        periods.mul(share, axis=0).assign(cell=cell, time_s=share * period_s)
        for cell, share in ((cells, first), (cells + 1, 1 - first))
    ]
    found = pd.concat(pieces).groupby("cell").sum()
    able = fleet.assign(
        capacity=fleet["ready"] * fleet["pool"].map(known).astype(float).fillna(0.0),
        cell=np.floor((fleet["time_s"] + clock_s) / cell_s),
    )
    capacity = able.groupby(["cell", "replication", "time_s"])["capacity"].sum().groupby("cell").mean()
    found["able"] = capacity.reindex(found.index).to_numpy() * found["time_s"]
    found = found[found["time_s"] > 0].reset_index()
    return _named(found, cell_s, span_s > _MOST_DAYS * SECONDS_PER_DAY, int(clock_s // SECONDS_PER_DAY))


def _named(found: pd.DataFrame, cell_s: float, are_many: bool, begins: int) -> pd.DataFrame:
    """Cells by the words of their day; of many days those of one weekday together, from Monday on."""
    at_s = found["cell"] * cell_s
    number = (at_s // SECONDS_PER_DAY).astype(int)
    found["number"] = number % len(DAYS) if are_many else number
    found["hour"] = (at_s % SECONDS_PER_DAY) / SECONDS_PER_HOUR
    found = found.groupby(["number", "hour"], as_index=False)[["arrived", "pools", "time_s", "able"]].sum()
    words = found["number"].map(lambda day: DAYS[day % len(DAYS)])
    if not are_many:
        words = words + " " + (found["number"] - begins + 1).astype(str)
    return pd.DataFrame(
        {
            "day": words,
            "hour": found["hour"].astype(int),
            "hours": int(cell_s // SECONDS_PER_HOUR),
            "arrived_per_s": found["arrived"] / found["time_s"],
            "used": (found["pools"] / found["able"].where(found["able"] > 0)).astype(float),
        }
    )


def calendar_charts(table: pd.DataFrame) -> list[Any]:
    """The table of `by_hour` as a field for each cell: of load and, where it is known, of the capacity that is used."""
    most = float(table["arrived_per_s"].max())
    found = [_field(table, "arrived_per_s", "requests arriving per s, mean", ".2r", most)]
    if table["used"].notna().any():
        words = "used of what the ready replicas could serve, mean"
        found.append(_field(table[table["used"].notna()], "used", words, ".0%", 1.0))
    return found


def _field(table: pd.DataFrame, column: str, words: str, digits: str, most: float) -> Any:
    base = alt.Chart(table, title=words, width=alt.Step(_CELL_PX), height=alt.Step(_CELL_PX * 2 // 3)).encode(
        x=alt.X("hour:O", title="hour of the day", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("day:N", title=None, sort=list(dict.fromkeys(table["day"])), axis=alt.Axis(labelOverlap=False)),
        tooltip=["day", "hour", "hours", alt.Tooltip(column, title=words, format=digits)],
    )
    scale = alt.Scale(scheme="viridis", domain=[0, most or 1.0], clamp=True)
    is_dark = alt.datum[column] < _DARK * (most or 1.0)
    text = base.mark_text(fontSize=9).encode(
        text=alt.Text(f"{column}:Q", format=digits),
        color=alt.condition(is_dark, alt.value("white"), alt.value("black")),
    )
    return alt.layer(base.mark_rect().encode(color=alt.Color(f"{column}:Q", scale=scale, legend=None)), text)
