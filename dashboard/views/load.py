"""Load: does capacity follow demand?"""

from __future__ import annotations

from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.components.seen_time import is_new, see, seen_s
from dashboard.components.table import show_table
from dashboard.components.wide_chart import show_wide
from dashboard.context import Context
from dashboard.loading import stamp, table
from simulator.catalog.titles import title_of
from simulator.figures.table import figure
from simulator.report.calendar_chart import by_hour, calendar_charts
from simulator.report.charts import ZOOM
from simulator.report.table import has_choice
from simulator.report.time_axis import clock_words, time_unit
from simulator.report.time_charts import LoadTables, load_over_time, load_tables, span_min
from simulator.results.bundle import Bundle

_ALL = "all"
_ALWAYS = ("pool", "site", "peak replicas")
"""Columns of pools that stand there also where they say nothing; what befell none of them has none."""
_ZOOM = "all rows show this time, and the link of the page holds it; scrolling over a row or dragging it changes it"
_WINDOW, _DRAWN, _MOVES = "load.window", "load.drawn", "load.moves"
"""The time that is shown; what the chart was drawn for, with its minutes; how often the slider was moved."""
_PLACES = {"minute": 2, "hour": 3}
"""Of the slider's times, by what they are told in."""
_MINUTE_S = 60.0


def show(context: Context) -> None:
    """Demand, capacity, queue, memory, replicas and what befell them over time, by pool and token API."""
    st.title("Load")
    st.caption("Does capacity follow demand? Scroll over a chart to zoom in on all of them, drag to move.")
    names = list(context.topologies)
    left, right = st.columns(2)
    topology = left.selectbox("Topology", names, key="load.topology", bind="query-params") or names[0]
    found = context.topologies[topology]
    count = len(found["replications"])
    every = [_ALL] if count > 1 else []
    replication = right.selectbox(
        "Replication", [*every, *map(str, range(count))], key="load.replication", bind="query-params"
    )
    number = None if replication in (None, _ALL) else int(replication)
    read = partial(table, context.bundle)
    key = str(context.bundle.path), stamp(context.bundle.path)
    tables = _tables(context.bundle, *key, topology, number)
    shown = _window(tables, context.bundle.path.name)
    name = "-".join(
        map(str, ("load.chart", st.session_state.get(_MOVES, 0), context.bundle.path.name, topology, number))
    )
    drawn_for = st.session_state.get(_DRAWN)
    if drawn_for is None or drawn_for[0] != name:
        drawn_for = st.session_state[_DRAWN] = name, shown
    chart = _drawn(tables, *key, topology, number, drawn_for[1])
    show_wide(
        *(chart, "load.chart", f"load, capacity and what befell {topology} over time", name),
        on_select=partial(_zoomed, name, span_min(tables)),
        selection_mode=ZOOM,
    )
    if number is None and count > 1:
        words = "bands: from the smallest to the largest of them; losses and events: those of all."
        st.caption(f"Lines: means of {count} replications; {words}")
    if not len(tables.events):
        lost = "; requests were lost all the same" if len(tables.lost) else ", and no request was lost"
        st.caption(f"No replica was started, and none failed{lost}.")
    if len(tables.capacity):
        st.caption(
            "Dashed: ready replicas, times the requests of this run's mean lengths and prefix hits that one can serve."
        )
    calendar = by_hour(read, topology, found, number)
    if len(calendar):
        st.header("By day and hour")
        st.caption("When it is busy, and how much could still come then, by the clock of the run.")
        fields = (("load.busy", "requests arriving, by day and hour"), ("load.used", "capacity used, by day and hour"))
        for chart, (name, words) in zip(calendar_charts(calendar), fields, strict=False):
            show_wide(chart, name, words)
    _pools(context, topology)


def _window(tables: LoadTables, run: str) -> tuple[float, float]:
    """Minutes that are shown, which the address keeps; at first those that another page showed."""
    end_min = span_min(tables)
    unit, unit_min = time_unit(end_min)
    if (seen := seen_s(run)) is not None and is_new(_WINDOW):
        st.session_state[_WINDOW] = _within((seen[0] / _MINUTE_S, seen[1] / _MINUTE_S), end_min)
    begin, end = st.slider(
        *(f"Shown {unit}s", 0.0, end_min / unit_min, (0.0, end_min / unit_min)),
        step=10.0 ** -_PLACES[unit],
        key=_WINDOW,
        bind="query-params",
        format="%.1f",
        help=_ZOOM,
        on_change=_moved,
    )
    is_all = end <= begin or (begin, end) == (0.0, end_min / unit_min)
    shown = (0.0, end_min) if is_all else (unit_min * begin, unit_min * end)
    see(run, None if is_all else (_MINUTE_S * shown[0], _MINUTE_S * shown[1]))
    if begins := clock_words(shown[0], end_min, tables.clock_s):
        st.caption(f"From {begins} to {clock_words(shown[1], end_min, tables.clock_s)}.")
    return shown


def _moved() -> None:
    """The slider was moved: the chart is drawn anew, whatever was zoomed into."""
    st.session_state[_MOVES] = st.session_state.get(_MOVES, 0) + 1


def _zoomed(name: str, end_min: float) -> None:
    """The chart was scrolled or dragged: the slider, and so the address, says what it shows, at first all of it.

    It is not drawn anew, so that the mouse goes on where it is.
    """
    found = next(iter(st.session_state[name].selection.get(ZOOM, {}).values()), None)
    st.session_state[_WINDOW] = _within(st.session_state[_DRAWN][1] if found is None else found, end_min)


def _within(window_min: tuple[float, float], end_min: float) -> tuple[float, float]:
    """Minutes as the slider holds them, of a run that ends at `end_min`."""
    unit, unit_min = time_unit(end_min)
    least, end = 10.0 ** -_PLACES[unit], end_min / unit_min
    begin = round(min(max(float(window_min[0]) / unit_min, 0.0), end - least), _PLACES[unit])
    return begin, min(max(round(float(window_min[1]) / unit_min, _PLACES[unit]), begin + least), end)


@st.cache_resource(max_entries=32, show_spinner=False)
def _tables(_bundle: Bundle, folder: str, written: str, topology: str, replication: int | None) -> LoadTables:
    return load_tables(partial(table, _bundle), topology, _bundle.summary["topologies"][topology], replication)


@st.cache_resource(max_entries=32, show_spinner=False)
def _drawn(
    _tables: LoadTables,
    folder: str,
    written: str,
    topology: str,
    replication: int | None,
    window_min: tuple[float, float],
) -> Any:
    """The chart of a topology: putting its rows together takes most of what the page does."""
    return load_over_time(_tables, window_min)


def _pools(context: Context, topology: str) -> None:
    """Counts of what happened to the replicas, means over the replications."""
    found = context.topologies[topology]
    if has_choice(found):
        overflow = figure("overflow_share").text(found["metrics"]["overflow_share"])
        st.metric("Requests that overflowed from their first choice", overflow, border=True)
    if found["pools"]:
        steps = figure("time_in_steps")
        st.metric(steps.words.capitalize(), steps.text(found[steps.id]), border=True, help=steps.meaning)
    rows = [
        {
            "pool": pool["name"],
            "site": title_of("site", pool["site"]),
            "peak replicas": pool["peak_replicas"],
            "launches": pool["launches"],
            "cold start [s]": pool["cold_start_s"],
            "starting [h]": pool["starting_s"] / 3600,
            "failures": pool["failures"],
            "spot reclaims": pool["reclaims"],
            "stock-outs": pool["stockouts"],
            "zone outages": pool["outages"],
        }
        for pool in found["pools"]
    ]
    if not rows:
        return
    frame = pd.DataFrame(rows)
    frame = frame[[name for name in frame if name in _ALWAYS or frame[name].astype(bool).any()]]
    numbers = ("launches", "cold start [s]", "failures", "spot reclaims", "stock-outs", "zone outages")
    config = {name: st.column_config.NumberColumn(format="%.1f") for name in (*numbers, "starting [h]")}
    show_table(frame, key="load.pools", column_config=config)
