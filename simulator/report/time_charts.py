"""Charts over simulated time: does capacity follow demand?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from simulator.metrics.demand import LOST
from simulator.report.charts import PALETTE, names_legend, stacked
from simulator.report.time_axis import time_axis

Along = Callable[[str], alt.X]
"""The time axis of a column."""
NOWHERE = "no target"
"""Who had requests that were sent nowhere."""
_WIDTH, _ROW_HEIGHT, _EVENT_PX = 700, 120, 24
_ROWS = (
    ("output_tokens_per_s", "output tokens per s"),
    ("running", "requests running"),
    ("waiting", "requests waiting"),
    ("kv_percent", "KV blocks in use, mean of replicas [%]"),
    ("ready", "replicas ready"),
    ("starting", "replicas starting (paid for)"),
)
"""Column of the samples and words of each row."""
_WHOLE = ("running", "waiting", "ready", "starting")
"""Rows that count: there is no half of one between two ticks."""
_SELDOM = ("waiting", "starting")
"""Rows that are left out where they are 0 throughout."""
_EVENTS = {
    "provision": "cold start",
    "image": "cold start",
    "weights": "cold start",
    "engine": "cold start",
    "failure": "failure",
    "down": "repair",
    "reclaim": "spot reclaim",
    "stock_out": "stock-out",
    "zone_outage": "zone outage",
    "provider_outage": "API outage",
    "no_capacity": "no capacity",
    "throttling": "429 answers",
}
"""Kinds of events that are shown, and the words of their row."""


@dataclass(frozen=True, slots=True)
class LoadTables:
    """What is shown of one topology, in one replication or in all.

    Of all, each quantity is the mean over the replications, with the smallest and largest of them as `…_low` and
    `…_high`; losses and events are those of all.

    Attributes
    ----------
    targets : pools, then providers; colours go by them
    demand : requests per s by target and period; columns minutes, target, arrived_per_s, overflowed_per_s
    lost : requests that were lost; columns minutes, end_min, target, why, lost and share (of those that came)
    capacity : requests per s that the ready replicas could serve; columns minutes, target, capacity_per_s
    samples : state of the pools; columns minutes, target and those of the rows
    events : columns start_min, end_min, target, what, kind, replica, count
    clock_s : local time at minute 0, in s since Monday 00:00
    ends_min : when the last period ends in which requests are counted
    """

    targets: tuple[str, ...]
    demand: pd.DataFrame
    lost: pd.DataFrame
    capacity: pd.DataFrame
    samples: pd.DataFrame
    events: pd.DataFrame
    clock_s: float = 0.0
    ends_min: float = 0.0


def load_tables(
    read: Callable[[str], pd.DataFrame], topology: str, summary: Mapping[str, Any], replication: int | None = None
) -> LoadTables:
    """Tables of a bundle, cut to one topology.

    Capacity is ready replicas times what one can serve of requests as long as the run's, with its prefix hits; a pool
    of which that is not known has none.

    Parameters
    ----------
    read : gives a table of the bundle by its name, as `Bundle.table` does
    summary : of the topology
    replication : None for all of them
    """

    demand, fleet, events = (rows_of(read(name), topology, replication) for name in ("demand", "fleet", "events"))
    targets = tuple(entry["name"] for entry in (*summary["pools"], *summary["providers"]))
    sent = demand[demand["target"] != ""].copy()
    sent["minutes"] = sent["time_s"] / 60
    for name in ("arrived", "overflowed"):
        sent[f"{name}_per_s"] = sent[name] / sent["period_s"]
    samples = fleet.rename(columns={"pool": "target"}).sort_values(["replication", "target", "time_s"], kind="stable")
    samples["minutes"] = samples["time_s"] / 60
    samples["output_tokens_per_s"] = (
        samples["output_tokens"] / samples.groupby(["replication", "target"])["time_s"].diff()
    )
    samples["kv_percent"] = 100 * samples["kv_usage"]
    each = {pool["name"]: pool["replica_capacity_rps"] for pool in summary["pools"]}
    capacity = samples[["minutes", "target", "replication"]].assign(
        capacity_per_s=samples["ready"] * samples["target"].map(each).astype(float)
    )
    shown = events[events["kind"].isin(list(_EVENTS))].copy()
    shown["what"] = shown["kind"].map(_EVENTS)
    shown["start_min"], shown["end_min"] = shown["start_s"] / 60, shown["end_s"] / 60
    return LoadTables(
        targets,
        _over_replications(sent, ("arrived_per_s", "overflowed_per_s")),
        _lost(demand),
        _over_replications(capacity.dropna(subset="capacity_per_s"), ("capacity_per_s",)),
        _over_replications(samples, tuple(column for column, _ in _ROWS)),
        shown[["start_min", "end_min", "target", "what", "kind", "replica", "count"]],
        float(summary.get("clock_s") or 0.0),
        float((demand["time_s"] + demand["period_s"]).max()) / 60 if len(demand) else 0.0,
    )


def rows_of(table: pd.DataFrame, topology: str, replication: int | None) -> pd.DataFrame:
    """Rows of a topology, in one replication or in all."""
    is_shown = table["topology"] == topology
    return table[is_shown if replication is None else is_shown & (table["replication"] == replication)]


def _over_replications(data: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Means by time and target; where there are several replications, the smallest and largest beside them."""
    if data["replication"].nunique() < 2:
        return data[["minutes", "target", *columns]]
    by = data.groupby(["target", "minutes"], sort=False)[list(columns)]
    found = by.mean()
    for word, ends in (("low", by.min()), ("high", by.max())):
        found[[f"{column}_{word}" for column in columns]] = ends
    return found.reset_index()


def _lost(demand: pd.DataFrame) -> pd.DataFrame:
    """A row for each period, target and reason for which requests were lost."""
    causes = [name for name in LOST if name in demand]
    keys = ["time_s", "period_s", "target", "arrived"]
    found = demand.melt(id_vars=keys, value_vars=causes, var_name="why", value_name="lost")
    found = found[found["lost"] > 0].copy()
    found["minutes"], found["end_min"] = found["time_s"] / 60, (found["time_s"] + found["period_s"]) / 60
    found["share"] = found["lost"] / found["arrived"]
    found["why"] = found["why"].str.replace("_", " ")
    found["target"] = found["target"].replace("", NOWHERE)
    return found[["minutes", "end_min", "target", "why", "lost", "share"]]


def span_min(tables: LoadTables) -> float:
    """Minutes at which what is shown ends."""
    times = pd.concat([tables.demand["minutes"], tables.samples["minutes"], tables.events["end_min"]])
    return max(float(times.max()), tables.ends_min)


def load_over_time(tables: LoadTables, window_min: tuple[float, float] | None = None) -> Any:
    """One row a quantity, one colour a pool or provider, all on the same minutes; drag to move, scroll to zoom.

    Parameters
    ----------
    window_min : minutes that are shown at first, all unless given
    """
    nowhere = [NOWHERE] if (tables.lost["target"] == NOWHERE).any() else []
    names = [*tables.targets, *nowhere]
    colour = alt.Color(
        "target:N",
        scale=alt.Scale(domain=names, range=[*PALETTE[: len(tables.targets)], *["gray"] * len(nowhere)]),
        title="pool or token API",
        legend=names_legend(names),
    )
    begin_min, end_min = window_min or (0.0, span_min(tables))
    scale = alt.Scale(domain=[begin_min, end_min], nice=False)
    axis = time_axis(end_min, tables.clock_s, begin_min)

    def x(column: str) -> alt.X:
        return alt.X(f"{column}:Q", scale=scale, axis=axis)

    rows = [_demand(tables, colour, x)]
    if len(tables.lost):
        rows.append(_losses(tables.lost, colour, x))
    if tables.demand["overflowed_per_s"].any():
        rows.append(_line(_to_their_end(tables), "overflowed_per_s", "requests per s that overflowed to it", colour, x))
    rows += [
        _line(tables.samples, column, words, colour, x)
        for column, words in _ROWS
        if tables.samples[column].notna().any() and (column not in _SELDOM or tables.samples[column].any())
    ]
    if len(tables.events):
        rows.append(_events(tables.events, colour, x))
    return stacked(rows)


def _to_their_end(tables: LoadTables) -> pd.DataFrame:
    """Requests by period with a row more for each target at the end of the last one: up to there its step is drawn."""
    last = tables.demand.groupby("target", sort=False).tail(1).assign(minutes=tables.ends_min)
    return pd.concat([tables.demand, last])


def _line(data: pd.DataFrame, column: str, words: str, colour: alt.Color, x: Along, dash: Sequence[int] = ()) -> Any:
    line = (
        alt.Chart(data, title=words, width=_WIDTH, height=_ROW_HEIGHT)
        .mark_line(interpolate="step-after", strokeDash=list(dash), clip=True)
        .encode(
            x=x("minutes"),
            y=alt.Y(f"{column}:Q", title=None, axis=alt.Axis(tickMinStep=1) if column in _WHOLE else alt.Axis()),
            color=colour,
            tooltip=[
                alt.Tooltip("target", title="pool or token API"),
                alt.Tooltip("minutes", format=".1f"),
                alt.Tooltip(column, format=",.2f", title=words),
            ],
        )
    )
    if f"{column}_low" not in data:
        return line
    band = alt.Chart(data).mark_area(interpolate="step-after", opacity=0.25, clip=True)
    ends = band.encode(x=x("minutes"), y=alt.Y(f"{column}_low:Q", title=None), y2=f"{column}_high:Q", color=colour)
    return alt.layer(ends, line, title=words, width=_WIDTH, height=_ROW_HEIGHT)


def _demand(tables: LoadTables, colour: alt.Color, x: Along) -> Any:
    title = alt.TitleParams(
        "requests arriving per s", subtitle="dashed: what the ready replicas could serve", subtitleColor="gray"
    )
    offered = _line(_to_their_end(tables), "arrived_per_s", "requests arriving per s", colour, x)
    if not len(tables.capacity):
        return offered
    able = _line(tables.capacity, "capacity_per_s", "requests per s that could be served", colour, x, (6, 4))
    return alt.layer(offered, able, title=title, width=_WIDTH, height=_ROW_HEIGHT)


def _losses(lost: pd.DataFrame, colour: alt.Color, x: Along) -> Any:
    """A row for each reason; the deeper the colour, the larger the share of those that came then."""
    why = list(dict.fromkeys(lost["why"]))
    chart = alt.Chart(lost).mark_bar(height=_EVENT_PX - 6, clip=True)
    return chart.encode(
        x=x("minutes"),
        x2="end_min:Q",
        y=alt.Y("why:N", sort=why, title=None),
        color=colour,
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.25, 1]), legend=None),
        tooltip=["why", alt.Tooltip("target", title="pool or token API"), "lost", alt.Tooltip("share", format=".1%")],
    ).properties(title="requests lost, by why", width=_WIDTH, height=_EVENT_PX * len(why))


def _events(events: pd.DataFrame, colour: alt.Color, x: Along) -> Any:
    """A bar from beginning to end of each event, and a tick where it begins: many are too short for a bar."""
    what = [words for words in dict.fromkeys(_EVENTS.values()) if (events["what"] == words).any()]
    tooltip: list[Any] = ["what", "kind", "target", "replica", "count"]
    tooltip += [alt.Tooltip(f"{end}_min", format=".2f", title=f"{end} [min]") for end in ("start", "end")]
    base = alt.Chart(events).encode(
        x=x("start_min"),
        y=alt.Y("what:N", sort=what, title=None),
        color=colour,
        tooltip=tooltip,
    )
    spans = base.mark_bar(height=_EVENT_PX // 3, opacity=0.6, clip=True).encode(x2="end_min:Q")
    begins = base.mark_tick(thickness=2, height=_EVENT_PX - 8, clip=True)
    title, height = "cold starts, faults and outages", _EVENT_PX * len(what)
    return alt.layer(spans, begins, title=title, width=_WIDTH, height=height)
