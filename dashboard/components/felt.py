"""What users feel over the time of a What-if: its zoom goes with that of other pages, and into the address."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from dashboard.components.seen_time import see, seen_s
from dashboard.components.wide_chart import show_wide
from simulator.report.charts import ZOOM

TIME = "what_if.time"
"""In the address: minutes that are shown."""
_DRAWN = "what_if.drawn"
_KEY, _WORDS = "what_if.over_time", "what users feel over time, changed and as it is"
_MINUTE_S = 60.0

Window = tuple[float, float]


def show_over_time(draw: Callable[[Window | None], Any], run: str, span_min: Window) -> None:
    """The chart at the minutes that its address names, else at those that another page showed, else at all.

    Parameters
    ----------
    draw : the chart that shows some minutes at first, or all
    span_min : minutes that it has
    """
    name = f"{_KEY}-{run}-{span_min[0]:g}-{span_min[1]:g}"
    drawn = st.session_state.get(_DRAWN)
    if drawn is None or drawn[0] != name or drawn[2] != st.query_params.get(TIME):
        seen = seen_s(run)
        asked = _asked() or (None if seen is None else (seen[0] / _MINUTE_S, seen[1] / _MINUTE_S))
        drawn = name, _within(asked, span_min), st.query_params.get(TIME)
        st.session_state[_DRAWN] = drawn
    show_wide(draw(drawn[1]), _KEY, _WORDS, name, on_select=partial(_zoomed, name, run, span_min), selection_mode=ZOOM)


def _asked() -> Window | None:
    try:
        begin_min, end_min = map(float, st.query_params.get(TIME, "").split("-"))
    except ValueError:
        return None
    return begin_min, end_min


def _within(window_min: Window | None, span_min: Window) -> Window | None:
    """The part of a window that the chart has; None where that is nothing, or all."""
    if window_min is None:
        return None
    begin_min, end_min = max(window_min[0], span_min[0]), min(window_min[1], span_min[1])
    return (begin_min, end_min) if begin_min < end_min and (begin_min, end_min) != span_min else None


def _zoomed(name: str, run: str, span_min: Window) -> None:
    """The chart was scrolled or dragged; it is not drawn anew, so that the mouse goes on where it is."""
    found = next(iter(st.session_state[name].selection.get(ZOOM, {}).values()), None)
    shown = _within(None if found is None else (float(found[0]), float(found[1])), span_min)
    see(run, None if shown is None else (_MINUTE_S * shown[0], _MINUTE_S * shown[1]))
    if shown is None:
        st.query_params.pop(TIME, None)
    else:
        st.query_params[TIME] = f"{shown[0]:.2f}-{shown[1]:.2f}"
    drawn = st.session_state[_DRAWN]
    st.session_state[_DRAWN] = drawn[0], drawn[1], st.query_params.get(TIME)
