"""When a fault of a What-if begins and how long it lasts: in minutes, in longer runs in hours and by the clock."""

from __future__ import annotations

import streamlit as st

from simulator.report.time_axis import clock_words, time_unit
from simulator.units import SECONDS_PER_MINUTE

_LEAST_MIN = 0.1
_FORMAT = {"minute": "%.1f", "hour": "%.2f"}


def ask_fault_time(run_min: float, begins_min: float, lasts_min: float, clock_s: float) -> tuple[float, float]:
    """Start and length in s, which the address keeps.

    Parameters
    ----------
    run_min : of the run
    begins_min, lasts_min : unless it is said
    clock_s : local time at minute 0, in s since Monday 00:00
    """
    unit, unit_min = time_unit(run_min)
    form, unit_s, row = _FORMAT[unit], SECONDS_PER_MINUTE * unit_min, st.columns(2)
    end, begins, lasts = run_min / unit_min, begins_min / unit_min, lasts_min / unit_min
    start = row[0].number_input(f"from {unit}", 0.0, end, begins, key="what_if.from", format=form, bind="query-params")
    least = min(_LEAST_MIN / unit_min, lasts)
    span = row[1].number_input(f"for {unit}s", least, end, lasts, key="what_if.for", format=form, bind="query-params")
    if said := clock_words(unit_min * start, run_min, clock_s):
        st.caption(f"From {said} to {clock_words(unit_min * (start + span), run_min, clock_s)}.")
    return round(unit_s * start, 3), round(unit_s * span, 3)
